import errno
import os
import time

import pytest

from simclr_keras.errors import InputError, RunFailure
from simclr_keras.files import (
    check_can_be_written,
    unfinished_folder,
    whole_file,
    write_json,
)


def test_a_file_appears_when_all_of_it_is_written(tmp_path):
    path = tmp_path / "new" / "model.keras"
    with whole_file(path) as unfinished:
        unfinished.write_text("one")
        assert unfinished.suffix == ".keras" and not path.exists()
    assert path.read_text() == "one"
    with whole_file(path) as unfinished:
        unfinished.write_text("two")
        assert path.read_text() == "one"
    assert path.read_text() == "two" and list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("before")
    with pytest.raises(KeyError):
        with whole_file(path) as unfinished:
            unfinished.write_text("half")
            raise KeyError
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(TypeError):
        write_json(path, {"not json": object()})
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_renamed_goes(tmp_path):
    parent = tmp_path / "models"
    with unfinished_folder(parent) as folder:
        folder.mkdir()
        (folder / "weights").write_text("w")
        folder.rename(parent / "1")
    assert [p.name for p in parent.iterdir()] == ["1"]
    with pytest.raises(KeyError):
        with unfinished_folder(parent) as folder:
            folder.mkdir()
            raise KeyError
    assert [p.name for p in parent.iterdir()] == ["1"]


@pytest.mark.parametrize("write", [whole_file, unfinished_folder])
def test_a_full_disk_is_said_with_what_was_written(tmp_path, write):
    target = tmp_path / "a.npz"
    with pytest.raises(
        RunFailure, match=f"The disk is full: {target} could not .* MB are free"
    ):
        with write(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(RuntimeError, match="^another"):
        with write(target):
            raise RuntimeError("another")
    assert not list(target.glob("*")) and not list(tmp_path.glob(".*"))


def test_what_cannot_be_written_is_said_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    check_can_be_written(tmp_path / "new" / "folder" / "a.npz", "`output`")
    check_can_be_written(tmp_path / "file", "`output`")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "file" / "a.npz", "file is not a folder"),
        (tmp_path / "file" / "b" / "a.npz", "file is not a folder"),
    ):
        with pytest.raises(InputError, match=f"`output` cannot be written: .*{reason}"):
            check_can_be_written(path, "`output`")
    check_can_be_written(tmp_path, "`output`", is_folder=True)
    for path in (tmp_path / "file", tmp_path / "file" / "model"):
        with pytest.raises(InputError, match="file is not a folder"):
            check_can_be_written(path, "`output`", is_folder=True)


def test_what_was_left_long_ago_goes(tmp_path):
    def left(name, days):
        path = tmp_path / name
        if name.endswith(".json"):
            path.write_text("{")
        else:
            (path / "variables").mkdir(parents=True)
        long_ago = time.time() - days * 24 * 60 * 60
        os.utime(path, (long_ago, long_ago))

    left(".unfinished-old", 2)
    left(".unfinished-new", 0.5)  # another process may be writing it
    left(".config.unfinished-old.json", 2)
    left(".config.unfinished-new.json", 0.5)
    left(".other.unfinished-old.json", 2)
    write_json(tmp_path / "config.json", {})
    with unfinished_folder(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".config.unfinished-new.json",
        ".other.unfinished-old.json",
        ".unfinished-new",
        "config.json",
    ]
