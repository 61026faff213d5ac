import numpy as np

from simclr_keras.data.kept_files import (
    index_folder,
    kept_file,
    noted_files,
    packed_files,
    unpack_files,
    write_arrays,
)


def test_where_indexes_are_kept(monkeypatch, tmp_path):
    monkeypatch.delenv("SIMCLR_KERAS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert index_folder() == tmp_path / "simclr_keras"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index_folder() == tmp_path / ".cache" / "simclr_keras"


def test_others_get_what_was_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "first"))
    kept_file("not noted").parent.mkdir()
    with noted_files() as files:
        for name, content in (("a/b", b"\n1\n"), ("c", b"")):
            kept_file(name, "decides").write_bytes(content)
        kept_file("never written")
    kept_file("later").write_bytes(b"3")
    written = [file for file in files if file.exists()]
    packed = packed_files(files)
    for place in ("first", "second"):  # the first has them already
        monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / place))
        times = [file.stat().st_mtime_ns for file in written]
        unpack_files(packed)
        assert [file.stat().st_mtime_ns for file in written] == times
        assert kept_file("a/b", "decides").read_bytes() == b"\n1\n"
        assert kept_file("c", "decides").read_bytes() == b""
    assert len(list((tmp_path / "second").iterdir())) == 2


def test_what_others_found_cannot_be_kept(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "first"))
    with noted_files() as files:
        file = kept_file("a")
    file.parent.mkdir()
    file.write_bytes(b"1")
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(file))
    unpack_files(packed_files(files))
    assert "What the first worker found cannot be kept here" in caplog.text


def test_arrays_are_written_as_numpy_reads_them(tmp_path):
    arrays = {
        "long": np.arange(70_000, dtype=np.int32),
        "pairs": np.arange(6).reshape(3, 2),
        "none": np.empty(0, bool),
        "every_second": np.arange(9)[::2],
    }
    write_arrays(tmp_path / "a.npz", **arrays)
    with np.load(tmp_path / "a.npz") as file:
        assert file.files == list(arrays)
        for name, array in arrays.items():
            assert file[name].dtype == array.dtype
            np.testing.assert_array_equal(file[name], array)
