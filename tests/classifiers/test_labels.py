import numpy as np
import pytest

from simclr_keras.classifiers.labels import (
    LabelList,
    choose_labels,
    read_labels,
    write_labels,
)
from simclr_keras.data.file_source import FileSource
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError

FILES = ("cats/a.png", "cats/b.png", "dogs/c, d.png", "dogs/e.png")


def _folder(root="/data/pets/train", class_names=("cats", "dogs")):
    labels = [0, 0, 1, 1] if class_names else [-1] * 4
    return FileSource(FILES, labels, class_names, root=root, name="pets")


def _file(tmp_path, text):
    file = tmp_path / "mine.csv"
    file.write_text(text)
    return file


def test_a_fraction_is_rounded_for_each_class_and_leaves_none_out():
    # 250, 25, 3 examples: 1 % is 2.5 (a half, up: 3), 0.25 (at least 1) and 0.03 (1).
    labels = np.array([0] * 250 + [1] * 25 + [2] * 3 + [-1] * 100)
    chosen = choose_labels(labels, label_fraction=0.01, seed=3)
    assert np.bincount(labels[chosen]).tolist() == [3, 1, 1]
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    # 10 %: 25, 2.5 (3), 0.3 (1).
    tenth = choose_labels(labels, label_fraction=0.1, seed=3)
    assert np.bincount(labels[tenth]).tolist() == [25, 3, 1]


def test_a_draw_is_decided_by_its_seed():
    labels = np.repeat([0, 1], 50)
    draws = [choose_labels(labels, labels_per_class=5, seed=s).tolist() for s in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_all_labels_are_chosen_without_a_number():
    assert choose_labels([2, -1, 0, 2]).tolist() == [0, 2, 3]
    assert choose_labels([2, -1, 0, 2], label_fraction=1.0).tolist() == [0, 2, 3]


@pytest.mark.parametrize(
    "labels, arguments, text",
    [
        ([0, 1], dict(label_fraction=0.0), r"in \(0, 1\]. Received: label_fraction=0.0"),
        ([0, 1], dict(label_fraction=1.5), r"in \(0, 1\]. Received: label_fraction=1.5"),
        ([0, 1], dict(labels_per_class=0), "at least 1. Received: labels_per_class=0"),
        (
            [0, 1, 1],
            dict(labels_per_class=2),
            "class 0 has. Received: labels_per_class=2, 1 examples",
        ),
        ([0], dict(label_fraction=0.5, labels_per_class=1), "either by a fraction or"),
        ([-1, -1], dict(label_fraction=0.5), "no label to choose from. Received: 2 labels"),
    ],
)
def test_what_cannot_be_chosen(labels, arguments, text):
    with pytest.raises(InputError, match=text):
        choose_labels(labels, **arguments)


def test_lists_of_files_come_back(tmp_path):
    source, chosen = _folder(), LabelList(np.array([1, 2]), np.array([0, 1]), ("cats", "dogs"))
    write_labels(tmp_path / "list.csv", source, chosen)
    assert (tmp_path / "list.csv").read_text().splitlines() == [
        "path,label",
        "cats/b.png,cats",
        '"dogs/c, d.png",dogs',
    ]
    again = read_labels(tmp_path / "list.csv", source)
    assert [part.tolist() for part in again[:2]] == [[1, 2], [0, 1]]
    assert again.class_names == ("cats", "dogs")


def test_lists_of_arrays_come_back(tmp_path):
    source = ArraySource(np.zeros((4, 2, 2, 3), "uint8"), [0, 2, 1, 2])
    chosen = LabelList(np.array([1, 2]), np.array([2, 1]), source.class_names)
    write_labels(tmp_path / "list.csv", source, chosen)
    assert (tmp_path / "list.csv").read_text().split() == ["index,label", "1,2", "2,1"]
    again = read_labels(tmp_path / "list.csv", source)
    assert [part.tolist() for part in again[:2]] == [[1, 2], [2, 1]]


def test_a_persons_list_may_name_files_in_three_ways_and_columns_in_any_order(tmp_path):
    text = (
        "\ufefflabel,path\ndogs,dogs/e.png\ncats,/data/pets/train/cats/a.png\n\n"
        "cats,train/cats/b.png\ndogs,./dogs/e.png\n"
    )
    read = read_labels(_file(tmp_path, text), _folder())
    assert read.indices.tolist() == [0, 1, 3] and read.labels.tolist() == [0, 0, 1]


def test_images_without_class_folders_get_the_classes_of_the_list(tmp_path):
    file = _file(tmp_path, "path,label\ndogs/e.png,wolf\ncats/a.png,lynx\n")
    read = read_labels(file, _folder(class_names=()))
    assert read.class_names == ("lynx", "wolf") and read.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "text, message",
    [
        ("file,label\n", "row 1: the columns must be path,label. Received: file,label"),
        ("path,label,who\n", "row 1: the columns must be path,label. Received: path,label,who"),
        ("", "row 1: the columns must be path,label"),
        ("path,label\n", "has no rows"),
        ("path,label\ncats/a.png,cats\ncats/z.png,cats\n", "row 3: .*path=cats/z.png"),
        ("path,label\ncats/a.png,cat\n", "row 2: .*Did you mean cats.*label=cat$"),
        (
            "path,label\ncats/a.png,cats\ndogs/e.png,dogs\ncats/a.png,dogs\n",
            "row 4: row 2 already gives this image the label cats. Received: path=cats/a.png, ",
        ),
        ("path,label\ndogs/c, d.png,dogs\n", "row 2: expected path,label, with quotes"),
        (
            "path,label\ncats/a.png,\n",
            "row 2: the label is missing: fill it in, or remove the row. Received: path=cats/a",
        ),
    ],
)
def test_a_wrong_row_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_labels(_file(tmp_path, text), _folder())


def test_a_missing_list_and_an_index_beyond_the_end(tmp_path):
    with pytest.raises(InputError, match="cannot be read: expected a CSV file of path,label"):
        read_labels(tmp_path / "none.csv", _folder())
    source = ArraySource(np.zeros((2, 2, 2, 3), "uint8"), [0, 1])
    with pytest.raises(InputError, match="row 2: .*Received: index=2"):
        read_labels(_file(tmp_path, "index,label\n2,0\n"), source)


def test_draws_are_stratified_seeded_and_skip_unlabelled():
    labels = np.array([0] * 10 + [1] * 20 + [-1] * 5)
    drawn = choose_labels(labels, labels_per_class=3, seed=1)
    assert np.bincount(labels[drawn]).tolist() == [3, 3]
    np.testing.assert_array_equal(drawn, choose_labels(labels, labels_per_class=3, seed=1))
    assert drawn.tolist() != choose_labels(labels, labels_per_class=3, seed=2).tolist()
    with pytest.raises(
        ValueError, match="class 0 has. Received: labels_per_class=11, 10 examples"
    ):
        choose_labels(labels, labels_per_class=11, seed=0)


def test_lists_keep_every_name_as_it_is(tmp_path):
    """Line separators, control characters, outer spaces, quotes, bytes that are no UTF-8."""
    names = (
        " a.png",
        "a.png",
        "a.png ",
        "b\u2028.png",
        "b\x85.png",
        "b\r.png",
        "b\n.png",
        "b\x1c.png",
    )
    names += ('"q", .png', "\ufeffbom.png", "caf\udce9.png", "\x1b[2J.png")
    classes = (" cats", "cats", "d\u2028", "e\udcff")
    source = FileSource(names, np.arange(len(names)) % 4, classes, root="/data")
    chosen = LabelList(np.arange(len(names)), source.labels, classes)
    write_labels(tmp_path / "list.csv", source, chosen)
    again = read_labels(tmp_path / "list.csv", source)
    assert again.indices.tolist() == chosen.indices.tolist()
    assert again.labels.tolist() == chosen.labels.tolist()


def test_a_space_before_a_path_is_part_of_it_and_before_a_label_is_not(tmp_path):
    with pytest.raises(
        InputError, match="row 2: .*no such training image. Received: path= cats/a"
    ):
        read_labels(_file(tmp_path, "path,label\n cats/a.png,cats\n"), _folder())
    read = read_labels(_file(tmp_path, "path,label\ncats/a.png, cats\n"), _folder())
    assert read.labels.tolist() == [0]
    with pytest.raises(InputError, match="cannot be read: expected a CSV file"):
        read_labels(_file(tmp_path, "path,label\ncats\0/a.png,cats\n"), _folder())
