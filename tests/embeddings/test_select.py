"""Which images `select` names, and what it writes."""

import csv

import numpy as np
import pytest

from simclr_keras.classifiers.labels import read_labels
from simclr_keras.data.datasets import load_source
from simclr_keras.embeddings.config import SelectConfig
from simclr_keras.embeddings.representative import choose_representative
from simclr_keras.embeddings.select import select
from simclr_keras.errors import InputError


@pytest.fixture
def embeddings(tmp_path, rng):
    """48 images in 4 groups of 12; in each, the image numbered 0 to 3 lies at the centre."""
    group = np.arange(48) % 4
    vectors = 4 * np.eye(8)[group] + 0.4 * rng.normal(size=(48, 8))
    vectors[:4] = 4 * np.eye(8)[:4]
    names = [f"{i:02}.png" for i in range(48)]
    np.savez(
        tmp_path / "e.npz", paths=names, embeddings=vectors.astype("float32"), root="photos"
    )
    return tmp_path / "e.npz"


def _select(embeddings, output="out.csv", **settings):
    return select(SelectConfig(embeddings, embeddings.with_name(output), **settings))


def _rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def _list(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def _group(name):
    return int(name[:2]) % 4


def test_one_central_image_of_each_group(embeddings):
    result = _select(embeddings, count=4)
    assert sorted(result.chosen) == ["00.png", "01.png", "02.png", "03.png"]
    assert _rows(result.output) == [["path", "label"], *([name, ""] for name in result.chosen)]
    assert result.to_dict() == {
        "output": str(result.output), "chosen": result.chosen, "images": 48, "labelled": 0
    }  # fmt: skip


def test_labelled_groups_come_last_and_labelled_images_never(embeddings, tmp_path):
    labels = _list(tmp_path / "l.csv", "path,label", "photos/00.png,x", "01.png,y", "05.png,")
    labels.write_text(labels.read_text().replace("photos/00.png", "00.png"))
    result = _select(embeddings, count=2, labels=labels)
    assert {_group(name) for name in result.chosen} == {2, 3} and result.labelled == 3
    everything = _select(embeddings, "all.csv", count=45, labels=labels).chosen
    assert len(set(everything)) == 45 and not {"00.png", "01.png", "05.png"} & set(everything)


def test_what_is_left_out_is_never_chosen(embeddings, tmp_path):
    held_out = _list(tmp_path / "held_out.csv", "path", *(f"{i:02}.png" for i in range(4)))
    result = _select(embeddings, count=44, leave_out=held_out)
    assert len(set(result.chosen)) == 44 and min(result.chosen) == "04.png"
    assert result.labelled == 0  # no label is known of them


def test_the_same_seed_gives_the_same_choice(embeddings):
    chosen = [_select(embeddings, f"{i}.csv", count=9).chosen for i in range(2)]
    assert chosen[0] == chosen[1]


def test_too_few_images(embeddings, tmp_path):
    labels = _list(tmp_path / "l.csv", "path,label", "00.png,x")
    with pytest.raises(InputError, match="48 images, of which 47 can .*Received: count=48"):
        _select(embeddings, count=48, labels=labels)
    assert not (tmp_path / "out.csv").exists()


def test_labels_are_never_overwritten(embeddings, tmp_path):
    output = _select(embeddings, count=3).output
    first = output.read_text()
    _select(embeddings, count=5)  # a list without labels may be replaced
    assert len(_rows(output)) == 6
    filled = first.replace(".png,", ".png,cat", 1)
    output.write_text(filled)
    with pytest.raises(InputError, match="holds 1 labels, which would be lost"):
        _select(embeddings, count=3)
    output.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="no list of images to label"):
        _select(embeddings, count=3)
    assert output.read_text() == "a,b,c\n1,2,3\n"


@pytest.mark.parametrize(
    "text, message",
    [
        ("name,label\n00.png,x\n", "expected a column path. Received: name,label"),
        ("path,label\ngone.png,x\n", "None of the 1 images in .* such as photos/00.png"),
        (None, "`labels` cannot be read"),
    ],
)
def test_lists_that_cannot_be_used(embeddings, tmp_path, text, message):
    if text:
        (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        _select(embeddings, labels=tmp_path / "l.csv", count=3)
    assert "\n" not in str(refused.value) and not (tmp_path / "out.csv").exists()


def test_images_of_a_dataset_are_named_by_index(tmp_path, rng):
    names = [f"digits/train/{i}" for i in range(20)]
    vectors = rng.normal(size=(20, 4)).astype("float32")
    np.savez(tmp_path / "e.npz", paths=names, embeddings=vectors)
    result = _select(tmp_path / "e.npz", count=5)
    header, *rows = _rows(result.output)
    assert header == ["index", "label"] and all(name.isdecimal() for name, _ in rows)
    labels = _list(tmp_path / "l.csv", "index,label", *(f"{i},a" for i in range(10)))
    chosen = _select(tmp_path / "e.npz", "b.csv", count=10, labels=labels).chosen
    assert sorted(chosen) == sorted(names[10:])


def test_only_the_training_split_is_chosen_from(tmp_path, rng):
    names = [f"{'train' if i < 6 else 'test'}/a/{i}.png" for i in range(12)]
    np.savez(tmp_path / "e.npz", paths=names, embeddings=rng.normal(size=(12, 4)), root="r")
    labels = _list(
        tmp_path / "l.csv", "path,label", "a/0.png,x"
    )  # as a run on splits writes it
    chosen = _select(tmp_path / "e.npz", count=5, labels=labels).chosen
    assert sorted(chosen) == names[1:6]


def test_fine_tune_reads_the_list_once_it_is_filled_in(image_folder, tmp_path, rng):
    source = load_source(str(image_folder), "all")
    vectors = rng.normal(size=(12, 4))
    root = str(image_folder)
    np.savez(tmp_path / "e.npz", paths=source.paths, embeddings=vectors, root=root)
    output = _select(tmp_path / "e.npz", count=4).output
    with pytest.raises(InputError, match="out.csv, row 2: the label is missing: fill it in"):
        read_labels(output, source)
    header, *rows = _rows(output)
    _list(output, ",".join(header), *(f"{name},{name[:4]}" for name, _ in rows))
    assert len(read_labels(output, source).indices) == 4


def test_copies_and_crowds_do_not_repeat(rng):
    """A crowd of copies counts once: labels go where there are none."""
    vectors = np.eye(4, dtype="float32")[[0] * 30 + [1] * 8 + [2] * 7 + [3] * 6]
    free = np.ones(51, bool)
    chosen = choose_representative(vectors, 4, ~free, free)
    assert sorted(vectors[chosen].argmax(axis=1)) == [0, 1, 2, 3]
    assert len(set(choose_representative(vectors, 51, ~free, free).tolist())) == 51
    with pytest.raises(ValueError, match="Received: count=52"):
        choose_representative(vectors, 52, ~free, free)
