import os
import time

import pytest

from simclr_keras.files import unfinished_folder, whole_file, write_json


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
