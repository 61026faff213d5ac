import logging
import os

import numpy as np
import pytest
from PIL import Image

from simclr_keras.data.datasets import load_source
from simclr_keras.data.unreadable import why_unreadable
from simclr_keras.embeddings.embed import _find
from simclr_keras.errors import InputError


def _write(root, *names, size=(6, 5)):
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"jpg": "JPEG", "jpeg": "JPEG"}.get(path.suffix[1:].lower())
        Image.new("RGB", size, (number, 20, 30)).save(path, kind)


def _load(root, split="all", **options):
    return load_source(str(root), split, **options)


def test_sub_folders_are_classes(tmp_path):
    _write(tmp_path, "dogs/2.PNG", "cats/deep/er/1.jpeg", "cats/a.JPG", "cats/b.gif")
    _write(tmp_path, "dogs/c.bmp", "loose.jpg")
    source = _load(tmp_path)
    assert source.class_names == ("cats", "dogs")
    assert source.paths == (
        *("cats/a.JPG", "cats/b.gif", "cats/deep/er/1.jpeg"),
        *("dogs/2.PNG", "dogs/c.bmp", "loose.jpg"),
    )
    assert source.labels.tolist() == [0, 0, 0, 1, 1, -1]
    assert source.has_labels and source.image_shape is None and len(source) == 6
    assert all(source.load(i).shape == (5, 6, 3) for i in range(6))


def test_labels_are_not_needed(tmp_path):
    _write(tmp_path, "b.png", "a.png")
    source = _load(tmp_path)
    assert source.labels.tolist() == [-1, -1] and source.class_names == ()
    assert not source.has_labels
    for options in ({}, {"labelled": False}):  # nothing to hold out a fifth by
        with pytest.raises(InputError, match="has no labels. Put the images in one sub-fo"):
            _load(tmp_path, "test", **options)
    assert len(_load(tmp_path, "train", labelled=False)) == 2


def test_other_files_are_named_and_hidden_ones_are_not(tmp_path, caplog):
    _write(tmp_path, "a/1.png", ".hidden/2.png", "a/.3.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / ".DS_Store").write_text("x")
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        assert _load(tmp_path).paths == ("a/1.png",)
    assert len(caplog.records) == 1
    assert "1 item(s) without a JPEG, PNG, GIF, BMP or WebP suffix: a/notes.txt." in caplog.text


@pytest.mark.parametrize("held_out", ["test", "val", "validation", "Test"])
def test_train_and_test_are_splits(tmp_path, held_out):
    _write(tmp_path, "train/a/1.png", "train/b/2.png", "train/c/3.png", "train/4.png")
    _write(tmp_path, f"{held_out}/a/5.png", f"{held_out}/c/6.png", f"{held_out}/7.png")
    both, train, test = (_load(tmp_path, split) for split in ("all", "train", "test"))
    assert both.labels.tolist() == [-1, 0, 1, 2]
    assert train.paths == ("a/1.png", "b/2.png", "c/3.png")
    # The class that the test part lacks keeps its number.
    assert test.paths == ("a/5.png", "c/6.png") and test.labels.tolist() == [0, 2]
    assert train.class_names == test.class_names == ("a", "b", "c")


def test_a_missing_training_part_is_named(tmp_path):
    _write(tmp_path, "val/a/1.png")
    assert len(_load(tmp_path, "test")) == 1
    for split in ("all", "train"):
        with pytest.raises(InputError, match="has val/ but no train/ folder. Add it"):
            _load(tmp_path, split)


def test_of_a_training_part_only_a_fifth_is_held_out(tmp_path):
    _write(tmp_path, *(f"train/{name}/{i}.png" for name in "ab" for i in range(5)))
    assert len(_load(tmp_path, "all")) == 10
    train, test = _load(tmp_path, "train"), _load(tmp_path, "test")
    assert (len(train), len(test)) == (8, 2) and not set(train.paths) & set(test.paths)


def test_train_may_be_a_class(tmp_path):
    _write(tmp_path, "car/1.png", "plane/2.png", "train/3.png")
    assert _load(tmp_path).class_names == ("car", "plane", "train")


def test_what_lies_beside_splits_is_named(tmp_path, caplog):
    _write(tmp_path, "train/a/1.png", "val/a/2.png", "extra/3.png", "4.png")
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        assert _load(tmp_path).paths == ("a/1.png",)
    assert "2 item(s) beside the splits: 4.png, extra." in caplog.text


def test_without_splits_a_fifth_of_every_class_is_held_out(tmp_path):
    _write(tmp_path, *(f"a/{i}.png" for i in range(10)))
    _write(tmp_path, *(f"b/{i}.png" for i in range(20)), "loose.png")
    train, test = (_load(tmp_path, split, seed=3) for split in ("train", "test"))
    assert np.bincount(train.labels).tolist() == [8, 16]
    assert np.bincount(test.labels).tolist() == [2, 4]
    assert not set(train.paths) & set(test.paths)
    assert test.paths == _load(tmp_path, "test", seed=3).paths
    assert test.paths != _load(tmp_path, "test", seed=4).paths
    assert len(_load(tmp_path)) == 31
    # Those without a label are in the training part only where they are asked for.
    with_unlabelled = _load(tmp_path, "train", seed=3, labelled=False)
    assert set(with_unlabelled.paths) == {*train.paths, "loose.png"}
    assert _load(tmp_path, "test", seed=3, labelled=False).paths == test.paths
    for split in ("train", "test"):
        assert len(_load(tmp_path, split, hold_out=False)) == 30


def test_too_few_images_to_hold_out(tmp_path):
    _write(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(InputError, match="2 labelled images in 2 classes: too few"):
        _load(tmp_path, "test")


@pytest.fixture
def folder_with_broken_files(tmp_path):
    _write(tmp_path, *(f"a/{i}.jpg" for i in range(6)), "a/6.png", "b/7.bmp")
    whole = (tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(whole[:-40])
    (tmp_path / "a" / "3.jpg").write_bytes(b"")
    (tmp_path / "a" / "5.jpg").write_bytes(b"<html>not found</html>")
    (tmp_path / "b" / "7.bmp").write_bytes((tmp_path / "b/7.bmp").read_bytes()[:60])
    (tmp_path / "a" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    return tmp_path


def test_unreadable_files_are_refused_on_one_line(folder_with_broken_files):
    with pytest.raises(InputError) as caught:
        _load(folder_with_broken_files)
    text = str(caught.value)
    assert f"5 of 9 images in {folder_with_broken_files} cannot be read: " in text
    assert "a/1.jpg (damaged, truncated" in text and "a/3.jpg (empty file)" in text
    assert "a/5.jpg (not a JPEG, PNG, GIF, BMP or WebP image) and 2 more" in text
    assert text.endswith("Move them away, or pretrain with `skip_unreadable`.")
    assert "\n" not in text


def test_unreadable_files_can_be_skipped(folder_with_broken_files, caplog):
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        source = _load(folder_with_broken_files, skip_unreadable=True)
    assert source.paths == ("a/0.jpg", "a/2.jpg", "a/4.jpg", "a/6.png")
    assert source.class_names == ("a", "b")  # the numbers of classes stay
    assert "5 of 9 images" in caplog.text and "They are skipped." in caplog.text
    assert source.find_unreadable() == {}


def test_a_folder_of_broken_files_only(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="1 of 1 images .* Nothing is left"):
        _load(tmp_path, skip_unreadable=True)


def test_bytes_after_the_end_of_an_image_are_allowed(tmp_path):
    _write(tmp_path, "a.jpg", "b.gif")
    for name in ("a.jpg", "b.gif"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"\0" * 10)
    assert _load(tmp_path).paths == ("a.jpg", "b.gif")


def test_find_unreadable_names_the_culprit(tmp_path):
    _write(tmp_path, "a.png", "b.png", size=(64, 64))
    content = bytearray((tmp_path / "b.png").read_bytes())
    content[45] ^= 0xFF  # inside the compressed pixels: begin and end look whole
    (tmp_path / "b.png").write_bytes(content)
    source = _load(tmp_path)
    ((index, reason),) = source.find_unreadable().items()
    assert source.name_of(index) == "b.png" and "damaged" in reason


def test_a_link_to_a_folder_above_ends(tmp_path):
    _write(tmp_path, "a/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert _load(tmp_path).paths == ("a/1.png",)


def test_a_folder_that_is_linked_to_keeps_its_name(tmp_path):
    _write(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png")
    (tmp_path / "best").symlink_to(tmp_path / "cat")
    source = _load(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert source.labels.tolist() == [0, 0, 1]


def test_pipes_are_never_opened(tmp_path, caplog):
    _write(tmp_path, "cat/1.png", "cat/2.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    os.mkfifo(tmp_path / "target")
    (tmp_path / "cat" / "link.jpg").symlink_to(tmp_path / "target")
    assert _load(tmp_path).paths == ("cat/1.png", "cat/2.png")
    assert (
        "2 item(s) that are pipes, sockets or devices: cat/link.jpg, cat/pipe.png"
        in caplog.text
    )
    for name in ("pipe.png", "link.jpg"):
        with pytest.raises(InputError, match=f"{name} is a pipe, a socket or a device"):
            _find([str(tmp_path / "cat" / name)], None, None)
    assert why_unreadable(str(tmp_path / "cat" / "pipe.png")) == "no regular file"


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    _write(tmp_path, "cat/1.png", "dog/1.png")

    def refusing(function):  # permissions do not stop the superuser
        def refused(folder):
            if str(folder).endswith("dog"):
                raise PermissionError(13, "Permission denied")
            return function(folder)

        return refused

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
    with pytest.raises(InputError, match="dog cannot be read: Permission denied. Its images"):
        _load(tmp_path)


def test_linked_folders_and_odd_names(tmp_path):
    _write(tmp_path, "elsewhere/1.png", "data/ä b/2.png")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    undecodable = os.fsencode(tmp_path / "data") + b"/\xff.png"
    with open(undecodable, "wb") as file:
        file.write((tmp_path / "elsewhere" / "1.png").read_bytes())
    source = _load(tmp_path / "data")
    assert source.class_names == ("linked", "ä b") and len(source) == 3
    assert all(source.load(i).shape == (5, 6, 3) for i in range(3))


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "photos/cats", "~/no/such"])
def test_a_missing_folder(name):
    with pytest.raises(InputError, match="There is no folder .*looked for /.*Name digi"):
        load_source(name, "all")


def test_a_folder_without_images(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(InputError, match=r"no images in .*Expected files.*\.jpg.*\.bmp"):
        _load(tmp_path)


def test_a_file_is_not_a_folder(tmp_path):
    _write(tmp_path, "a.png")
    with pytest.raises(InputError, match="is a file. Name the folder"):
        _load(tmp_path / "a.png")
