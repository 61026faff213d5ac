import os
import pathlib
import time

import numpy as np
import pytest
from encoded import encoded_images

from simclr_keras import stores
from simclr_keras.data import kept_listing, listing
from simclr_keras.data.datasets import load_source
from simclr_keras.data.listing import list_folder
from simclr_keras.errors import InputError

IMAGES = list(encoded_images().values())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of 24 images whose listing is kept, and whose times are not recent."""
    monkeypatch.setattr(kept_listing, "_LEAST", 20)
    monkeypatch.setattr(listing, "_RECENT", 0)
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    for number in range(24):
        _write(tmp_path / "images" / "abc"[number % 3], f"{number:02}", number)
    return tmp_path / "images"


def _write(folder, stem, number=0):
    content = IMAGES[number % len(IMAGES)]
    kinds = {
        b"\xff\xd8": ".jpg",
        b"\x89P": ".png",
        b"GI": ".gif",
        b"BM": ".bmp",
        b"RI": ".webp",
    }
    path = folder / f"{stem}{kinds[content[:2]]}"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def looked(monkeypatch):
    """The names of folders that are listed, and of files that are opened."""
    names = []
    scandir, look, why = (
        os.scandir,
        listing._look_at_local,
        load_source.__globals__["load_folder"],
    )
    reason = why.__globals__["why_unreadable"]

    def noted(path):
        names.append(os.path.basename(path))
        return scandir(path)

    def opened(file, known):
        names.append(os.path.basename(os.fsdecode(file)))
        return look(file, known)

    def decoded(file):
        names.append(f"decoded {os.path.basename(file)}")
        return reason(file)

    monkeypatch.setattr(listing.os, "scandir", noted)
    monkeypatch.setattr(listing, "_look_at_local", opened)
    monkeypatch.setitem(why.__globals__, "why_unreadable", decoded)
    return names


def _load(folder):
    return load_source(str(folder), "all")


def _state(source):
    sizes = [source.size(k) for k in range(len(source))]
    return source.paths, source.labels.tolist(), source.class_names, sizes


def test_what_has_not_changed_is_not_looked_at_again(folder, looked):
    first = _state(_load(folder))
    assert len(first[0]) == 24 and len({*looked} - {"images", "a", "b", "c"}) >= 24
    assert first[3] == [os.path.getsize(folder / path) for path in first[0]]
    looked.clear()
    assert _state(_load(folder)) == first
    # By what tells images from shards and splits from classes.
    assert set(looked) <= {"images", "a", "b", "c"} and looked.count("a") == 1


def test_added_removed_and_changed_files_are_noticed(folder, looked):
    paths = _load(folder).paths
    removed, changed = (folder / path for path in paths[:2])
    removed.unlink()
    changed.unlink()
    content = next(c for c in IMAGES if c[:2] == b"\xff\xd8")
    size = changed.write_bytes(content + b"\0\xff\xd9")
    added = _write(folder / "a" / "new", "x")
    looked.clear()
    source = _load(folder)
    assert set(source.paths) == {*paths[1:], str(added.relative_to(folder))}
    assert source.size(source.paths.index(paths[1])) == size
    assert _state(source) == _state(_load(folder))
    assert "12.png" not in looked and not {p.name for p in (folder / "b").iterdir()} & {*looked}


def test_broken_files_are_decoded_each_time_and_may_be_repaired(folder):
    path = folder / _load(folder).paths[0]
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:20])
    for _ in range(2):
        with pytest.raises(
            InputError, match=f"1 of 24 images .* cannot be read: a/{path.name}"
        ):
            _load(folder)
    path.write_bytes(content)  # in place: the folder has the same time
    assert _load(folder).size(0) == len(content)


def test_what_is_said_about_other_files_is_said_again(folder, caplog):
    (folder / "a" / "notes.txt").write_text("x")
    for _ in range(2):
        caplog.clear()
        _load(folder)
        assert "Ignored in" in caplog.text and "a/notes.txt" in caplog.text


def test_a_folder_that_has_just_changed_may_change_again(folder, monkeypatch):
    monkeypatch.setattr(listing, "_RECENT", 10**12)
    _load(folder)
    status = (folder / "a").stat()
    _write(folder / "a", "zz")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(_load(folder)) == 25


def test_few_images_are_looked_at_each_time(folder, looked, monkeypatch):
    monkeypatch.setattr(kept_listing, "_LEAST", 25)
    for _ in range(2):
        looked.clear()
        _load(folder)
        assert len(looked) > 24


def test_a_damaged_or_unwritable_file_is_no_reason_to_fail(folder, tmp_path, caplog):
    first = _state(_load(folder))
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:-200])
    assert _state(_load(folder)) == first
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.write_text("in the way")
    assert _state(_load(folder)) == first and "cannot be kept in" in caplog.text


def test_the_order_is_that_of_the_sorted_parts_of_paths(tmp_path):
    names = [
        "b.jpg",
        "b/z.jpg",
        "b-c/a.jpg",
        "a.jpg",
        "b/c/d.jpg",
        "b/c.jpg",
        "\udcff.jpg",
        "é/1.jpg",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c").symlink_to(tmp_path / "b")
    (tmp_path / "é" / "up").symlink_to(tmp_path)
    found = list_folder(str(tmp_path), {})
    assert list(found.paths) == sorted(names, key=lambda path: path.split("/"))
    assert found.classes == ["b", "b-c", "é"]
    assert found.labels(found.classes).tolist() == [
        found.classes.index(path.split("/")[0]) if "/" in path else -1 for path in found.paths
    ]


def test_a_remote_folder(folder):
    url = f"ram://listing/{time.time_ns()}"
    source = _load(folder)
    for path in source.paths:
        stores.write(f"{url}/{path}", pathlib.Path(folder, path).read_bytes())
    stores.write(f"{url}/a/notes.txt", b"x")
    for _ in range(2):  # the second time from what is kept
        remote = _load(url + "/")
        assert _state(remote) == _state(source) and remote.root == url
    for index in (0, 23):
        np.testing.assert_array_equal(remote.load(index), source.load(index))
    stores.write(f"{url}/a/broken.jpg", b"\xff\xd8\xff")
    with pytest.raises(
        InputError, match=f"1 of 25 images in {url} cannot be read: a/broken.jpg"
    ):
        _load(url)
    stores.remove(f"{url}/a/broken.jpg")
    stores.remove(f"{url}/{source.paths[5]}")
    assert _load(url).paths == (*source.paths[:5], *source.paths[6:])
    with pytest.raises(InputError, match="There is no folder ram://listing/none"):
        load_source("ram://listing/none", "all")
