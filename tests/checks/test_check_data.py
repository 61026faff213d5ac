import json
import logging
import os

import numpy as np
import pytest
from encoded import zip_bomb
from PIL import Image
from shards import write_tar
from typer.testing import CliRunner
from zoo import encode

from simclr_keras import ArraySource, CheckDataConfig, InputError, check_data
from simclr_keras.checks import look as look_module
from simclr_keras.checks.look import look_at_all
from simclr_keras.cli.main import app


@pytest.fixture
def folder(tmp_path):
    """Three classes of two images in train/ and test/, in which nothing is odd."""
    for number in range(12):
        part, name = ("train", "test")[number % 2], "abc"[number % 3]
        path = tmp_path / "data" / part / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode("PNG", seed=number))
    return tmp_path / "data"


def _found(folder, **settings):
    result = check_data(CheckDataConfig(str(folder), **settings))
    return [(finding.kind, finding.names, finding.note) for finding in result.findings]


def test_nothing_is_odd(folder):
    result = check_data(CheckDataConfig(str(folder)))
    assert result.findings == [] and result.counts == {}
    assert result.images == 12 and result.parts == {"train": 6, "test": 6}


def test_a_picture_in_both_parts_and_in_two_classes(folder):
    content = (folder / "train/a/0.png").read_bytes()
    (folder / "test/b/again.png").write_bytes(content)
    (folder / "train/c/twin.png").write_bytes(content + b"after the end")
    names = ["train/a/0.png", "train/c/twin.png", "test/b/again.png"]
    assert _found(folder) == [("across-splits", names, "the same pixels, in 3 classes")]


def test_near_duplicates_across_parts(folder, tmp_path):
    photo = Image.open(folder / "train/a/0.png").resize((160, 192), Image.Resampling.BICUBIC)
    photo.save(folder / "test/a/large.jpg", quality=90)
    names = ["train/a/0.png", "test/a/large.jpg"]
    assert _found(folder) == [("across-splits", names, "almost the same picture")]


def test_classes_links_and_folders_that_cannot_be_read(folder, monkeypatch):
    (folder / "train" / "d" / "deep").mkdir(parents=True)
    (folder / "train" / "e").mkdir()
    (folder / "train" / "e" / "1.png").write_bytes(encode("PNG", seed=70))
    (folder / "train" / "cats").symlink_to("a")
    (folder / "train" / "closed").mkdir()
    scan = os.scandir

    def closed(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert [(kind, *names) for kind, names, _ in _found(folder)] == [
        ("unreadable", "train/closed"),
        ("single-image-class", "train/e"),
        ("empty-class", "train/closed"),
        ("empty-class", "train/d"),
        ("links", "train/cats"),
    ]


def test_a_bomb_is_named_by_its_header(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(zip_bomb())
    (tmp_path / "fine.png").write_bytes(encode("PNG"))
    decoded, decode = [], look_module.decode_image
    monkeypatch.setattr(
        look_module, "decode_image", lambda content: decoded.append(content) or decode(content)
    )
    ((kind, names, note),) = _found(tmp_path)
    assert kind == "size" and names == ["bomb.png"] and "12,000 x 12,000 pixels" in note
    assert [content.numpy() for content in decoded] == [encode("PNG")]


def test_settings_decide_what_is_odd(folder):
    assert len(_found(folder, min_side=41)) == 12
    near = check_data(CheckDataConfig(str(folder), near_bits=8)).counts
    assert near == {}
    for wrong in (dict(near_bits=9), dict(min_side=0), dict(output="page.txt")):
        with pytest.raises(InputError):
            CheckDataConfig(str(folder), **wrong)


def test_an_empty_folder_and_a_wrong_name(tmp_path):
    with pytest.raises(InputError, match="There are no images in"):
        check_data(CheckDataConfig(str(tmp_path)))
    with pytest.raises(InputError, match="There is no folder"):
        check_data(CheckDataConfig(str(tmp_path / "nowhere")))


def test_shards_are_looked_at_too(tmp_path):
    images = [encode("PNG", seed=seed) for seed in (1, 2, 1)]
    members = [(f"{number}.png", content) for number, content in enumerate(images)]
    write_tar(tmp_path / "0.tar", [*members, ("3.png", b"no image")])
    found = {kind: names for kind, names, _ in _found(tmp_path)}
    assert found["duplicates"] == ["0.tar, 0.png", "0.tar, 2.png"]
    assert found["damaged"] == ["0.tar, 3.png (not a JPEG, PNG, GIF, BMP or WebP image)"]


def test_arrays_of_any_kind(rng):
    images = rng.random((3, 20, 20, 1), np.float32)
    look = look_at_all(ArraySource(np.concatenate([images, images[:1]])), lambda done: None)
    assert look.kinds == ["gray"] and look.sides.tolist() == [[20, 20]] * 4
    assert look.pixels[0].tolist() == look.pixels[3].tolist() != look.pixels[1].tolist()


def test_the_command(folder, tmp_path, caplog):
    def run(*arguments):
        return CliRunner().invoke(app, ["check-data", str(folder), *arguments])

    assert run().exit_code == 0
    for number in range(3):
        (folder / "train/a" / f"\x1b[2Jred\n{number}.png").write_bytes(b"")
    page = tmp_path / "page.html"
    said = run("--shown", "2", "--json", "--output", str(page))
    assert said.exit_code == 3
    lines = said.stdout.splitlines()
    assert lines[0] == f"{folder}: 9 images in train/ and 6 images in test/; 3 findings"
    assert lines[2:6] == [
        "Files that hold no image that is decoded: 3",
        "  train/a/\\x1b[2Jred\\n0.png  (empty file)",
        "  train/a/\\x1b[2Jred\\n1.png  (empty file)",
        "  ... and 1 more",
    ]
    found = json.loads(lines[-1])
    assert found["counts"] == {"no-image": 3} and len(found["findings"]) == 3
    assert found["findings"][0]["names"] == ["train/a/\x1b[2Jred\n0.png"]
    assert "\x1b" not in said.stdout and "\x1b" not in page.read_text()
    assert not [r for r in caplog.records if r.levelno > logging.WARNING]
