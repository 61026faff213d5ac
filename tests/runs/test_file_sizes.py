import json

import numpy as np
import pytest

from simclr_keras.files import write_json
from simclr_keras.runs import file_sizes
from simclr_keras.runs.file_sizes import FileSizes

FILES = {"a/1.jpg": 5, "b.jpg": 2**40, '{"c": 1},.jpg': 0, "}": 1, "x\udcff\n\u2028y.jpg": 7}


@pytest.fixture(params=[1, 2, 3, 100])
def at_a_time(request, monkeypatch):
    monkeypatch.setattr(file_sizes, "_AT_A_TIME", request.param)


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_files_are_kept_as_json(tmp_path, at_a_time, count):
    files = dict(list(FILES.items())[:count])
    FileSizes(list(files), list(files.values())).write(tmp_path / "images.json")
    write_json(tmp_path / "whole.json", files)
    text = (tmp_path / "images.json").read_text()
    assert text == (tmp_path / "whole.json").read_text()
    assert list(FileSizes.read(tmp_path / "images.json").items()) == list(files.items())


@pytest.mark.parametrize("options", [{}, {"indent": 8}, {"separators": (",\n", "\n:\n")}])
def test_files_that_were_formatted_otherwise(tmp_path, at_a_time, options):
    (tmp_path / "images.json").write_text(json.dumps(FILES, **options))
    assert dict(FileSizes.read(tmp_path / "images.json").items()) == FILES


def test_damage_is_an_error(tmp_path):
    (tmp_path / "images.json").write_text('{\n  "a": 1,\n  "b"\n')
    with pytest.raises(ValueError):
        FileSizes.read(tmp_path / "images.json")


def test_what_differs():
    before = FileSizes(["a", "b", "c", "d"], [1, 2, 3, 4])
    now = FileSizes(["e", "d", "b", "a"], [1, 5, 2, 1])
    kinds = {"added": {"e"}, "missing": {"c"}, "changed": {"d"}}
    assert now.differences(before) == kinds
    assert before.differences(before) == dict.fromkeys(kinds, set())
    reordered = FileSizes(["d", "c", "b", "a"], [4, 3, 2, 1])
    assert reordered.differences(before) == dict.fromkeys(kinds, set())
    assert FileSizes().differences(before)["missing"] == {"a", "b", "c", "d"}
    assert before.differences(FileSizes())["added"] == {"a", "b", "c", "d"}


def test_what_has_vanished():
    files = FileSizes(["a", "b", "c"], np.array([1, -1, 0]))
    assert dict(files.existing().items()) == {"a": 1, "c": 0}
