import os

import numpy as np
import pytest

from simclr_keras.data.datasets import has_test_part, load_source
from simclr_keras.data.file_source import FileSource
from simclr_keras.data.parts import (
    choose_held_out,
    find_held_out,
    take_part,
    write_held_out,
)
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError


def _source(labels):
    return ArraySource(np.zeros((len(labels), 2, 2, 3), "uint8"), labels)


def test_a_share_of_every_class_is_drawn_and_nothing_without_a_label():
    source = _source(np.repeat([0, 1, 2, -1], [40, 20, 8, 30]))
    held_out = choose_held_out(source, 0.25, seed=3)
    assert np.bincount(source.labels[held_out]).tolist() == [10, 5, 2]
    assert held_out.tolist() == sorted(set(held_out))
    np.testing.assert_array_equal(held_out, choose_held_out(source, 0.25, seed=3))
    assert held_out.tolist() != choose_held_out(source, 0.25, seed=4).tolist()


def test_the_fifth_is_the_one_that_load_source_tests_on(image_folder):
    whole = load_source(str(image_folder), "all")
    for seed in (0, 7):
        held_out = choose_held_out(whole, 0.2, seed)
        test = load_source(str(image_folder), "test", seed=seed)
        assert test.paths == tuple(whole.paths[k] for k in held_out)
    # As earlier versions chose it: their runs are still measured on the same images.
    assert [whole.paths[k] for k in choose_held_out(whole, 0.2, 0)] == [
        "cats/00.png",
        "cats/10.png",
        "dogs/11.png",
    ]


def test_without_labels_a_share_of_all_is_drawn():
    source = _source([-1] * 20)
    draws = [choose_held_out(source, 0.1, seed).tolist() for seed in range(5)]
    assert {len(draw) for draw in draws} == {2} and len(set(map(tuple, draws))) > 1


@pytest.mark.parametrize(
    ("labels", "share", "said"),
    [
        (
            [0, 0, 0, 1],
            0.2,
            "4 labelled images in 2 classes: too few to hold out a fifth of ev",
        ),
        (
            [0, 0, 1, 1],
            0.01,
            "too few to hold out 1 % of every class. Add images, or test/ and",
        ),
        ([-1], 0.5, "1 images: too few to hold out 50 % of them"),
    ],
)
def test_too_few_images(labels, share, said):
    with pytest.raises(InputError, match=said):
        choose_held_out(_source(labels), share, 0)


def test_parts():
    source = _source([0, 1, -1, 0, 1])
    held_out = np.array([0, 4])

    def places(*options):
        return take_part(source, *options).places.tolist()

    assert places("train", held_out, False) == [1, 2, 3]
    assert places("train", held_out, True) == [1, 3]
    assert places("test", held_out, True) == [0, 4]
    assert places("train", None, True) == places("test", None, True) == [0, 1, 3, 4]
    with pytest.raises(InputError, match="has no labels. Put the images in one sub-folder"):
        take_part(source, "test", np.array([2]), labelled=True)


def test_a_list_of_files_is_read_as_it_was_written(tmp_path):
    names = ["a,b/1.png", 'a"/\n2.png', "ü/3.png", os.fsdecode(b"\xff/4.png"), " 5.png "]
    source = FileSource(names, root="photos")
    write_held_out(tmp_path / "list.csv", source.subset([1, 3, 4]))
    held_out, missing = find_held_out(tmp_path / "list.csv", source)
    assert held_out.tolist() == [1, 3, 4] and missing == []
    # The order of the images and the name of the folder do not matter.
    moved = FileSource(["new.png", *reversed(names)], root="elsewhere")
    held_out, missing = find_held_out(tmp_path / "list.csv", moved)
    assert [moved.paths[k] for k in held_out] == [names[k] for k in (4, 3, 1)]
    held_out, missing = find_held_out(tmp_path / "list.csv", source.subset([0, 1]))
    assert held_out.tolist() == [1] and missing == [names[3], names[4]]
    assert find_held_out(tmp_path / "list.csv", _source([0]))[1] == [
        names[k] for k in (1, 3, 4)
    ]


def test_a_list_of_data_without_files_is_of_indices(tmp_path):
    source = _source([0] * 12)
    write_held_out(tmp_path / "list.csv", source.subset([2, 11]))
    assert (tmp_path / "list.csv").read_text().split() == ["index", "2", "11"]
    held_out, missing = find_held_out(tmp_path / "list.csv", source)
    assert held_out.tolist() == [2, 11] and missing == []
    assert find_held_out(tmp_path / "list.csv", _source([0] * 5))[1] == ["11"]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [(("train", "val"), True), (("train",), False), (("cats", "train"), False)],
)
def test_which_folders_have_a_test_part(tmp_path, folders, expected):
    for name in folders:
        (tmp_path / name).mkdir()
    assert has_test_part(str(tmp_path)) is expected
    assert has_test_part("digits")
