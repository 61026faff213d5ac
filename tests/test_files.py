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
