import errno
import io

import pytest
import tensorflow as tf

from simclr_keras import stores
from simclr_keras.errors import InputError, RunFailure

gfile = tf.io.gfile


def test_paths_of_stores_stay_as_they_are(tmp_path):
    assert stores.is_remote("ram://a/b") and not stores.is_remote(tmp_path)
    assert not stores.is_remote("C:/images") and not stores.is_remote("a:b//c")
    assert stores.absolute("gs://b/x") == "gs://b/x"
    assert stores.absolute(tmp_path / ".." / "x") == str(tmp_path.parent / "x")
    assert stores.split("gs://bucket/run/config.json") == ("gs://bucket/run", "config.json")
    assert stores.split("ram://e.npz") == ("ram://", "e.npz")
    assert stores.without_slash("ram://a/") == "ram://a" and stores.without_slash("ram://")


def test_an_unknown_scheme_is_refused():
    stores.check_registered("dataset", "ram://photos")
    with pytest.raises(
        InputError, match=r"`dataset` is in a store that .* it knows .*ram://.*s4"
    ):
        stores.check_registered("dataset", "s4://photos")


def test_a_file_is_read_as_a_local_one_is(tmp_path):
    stores.write("ram://read/a.bin", bytes(range(100)))
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    for path in ("ram://read/a.bin", str(tmp_path / "a.bin")):
        with stores.open_file(path) as stream:
            assert stream.read(3) == b"\0\1\2"
            assert stream.seek(-2, io.SEEK_END) == 98 and stream.read() == b"\x62\x63"
            assert stores.read_at(stream, 10, 2) == b"\x0a\x0b"
        assert stores.size(path) == stores.stamp(path)[0] == 100
        with pytest.raises(FileNotFoundError) as missing:
            stores.open_file(path + "x")
        assert missing.value.errno == errno.ENOENT
        assert stores.stamp(path + "x") == (-1, -1)


def test_what_is_written_replaces_what_was_there():
    for content in (b"long", b"x"):
        stores.write("ram://write/a", content)
        assert stores.read("ram://write/a") == content
    assert gfile.listdir("ram://write") == ["a"]
    stores.remove("ram://write/a")
    stores.remove("ram://write/a")
    assert not stores.has_file("ram://write/a")


def test_what_is_in_a_folder():
    for path in ("b/1.jpg", "b/.hidden", "b/c.d/2.jpg"):
        stores.write(f"ram://listed/{path}", b"x")
    assert sorted(stores.entries("ram://listed/b", (".jpg",))) == [
        ("1.jpg", False),
        ("c.d", True),
    ]
    assert sorted(stores.files_below("ram://listed")) == ["b/.hidden", "b/1.jpg", "b/c.d/2.jpg"]
    assert stores.has_folder("ram://listed/b") and not stores.has_folder("ram://listed/b/1.jpg")
    with pytest.raises(InputError, match="ram://nothing cannot be read"):
        stores.entries("ram://nothing")


def test_what_fails_is_tried_again_and_a_missing_file_is_not(monkeypatch):
    monkeypatch.setattr(stores, "_WAITS", (0, 0))
    calls = []

    def fail(error):
        calls.append(error)
        if len(calls) < 3 or error is not OSError:
            raise error
        return "done"

    assert stores.tried(lambda: fail(OSError)) == "done" and len(calls) == 3
    with pytest.raises(FileNotFoundError):
        stores.tried(lambda: fail(FileNotFoundError))
    assert len(calls) == 4


def test_a_store_that_does_not_answer_is_no_missing_folder(monkeypatch):
    monkeypatch.setattr(stores, "_WAITS", ())

    def unavailable(path):
        raise tf.errors.UnavailableError(None, None, "no\nnetwork")

    monkeypatch.setattr(gfile, "stat", unavailable)
    with pytest.raises(
        RunFailure, match="ram://a could not be read: no network. Repeat the comm"
    ):
        stores.has_folder("ram://a")
