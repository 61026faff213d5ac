import numpy as np
import pytest

from simclr_keras.embeddings import file as embeddings
from simclr_keras.embeddings.file import (
    read_blocks,
    read_info,
    read_rows,
    read_vectors,
    write_embeddings,
)
from simclr_keras.errors import InputError


def _write(path, vectors, size=7):
    with write_embeddings(path, "/photos", "/models/m/1") as rows:
        for start in range(0, len(vectors), size):
            part = vectors[start : start + size]
            rows.add([f"{i}.png" for i in range(start, start + len(part))], part)
        rows.unreadable.append("bad.png")


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_what_is_written_is_read(tmp_path, rng, suffix, monkeypatch):
    monkeypatch.setattr(embeddings, "_ROW_GROUP", 16 * 3 * 4)  # several groups
    vectors = rng.random((50, 3)).astype("float32")
    path = tmp_path / "deep" / f"e{suffix}"
    _write(path, vectors)
    info = read_info(path)
    assert info.paths == [f"{i}.png" for i in range(50)] and info.unreadable == ["bad.png"]
    assert (info.root, info.model) == ("/photos", "/models/m/1")
    blocks = list(read_blocks(path, rows=12))
    assert max(len(b) for b in blocks) <= 12 and len(blocks) >= 5
    np.testing.assert_array_equal(np.concatenate(blocks), vectors)
    np.testing.assert_array_equal(read_vectors(path), vectors)
    some = [49, 0, 16, 15, 16]
    np.testing.assert_array_equal(read_rows(path, some), vectors[some])
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_parquet_is_written_while_rows_come(tmp_path, monkeypatch):
    monkeypatch.setattr(embeddings, "_ROW_GROUP", 16_000)
    with write_embeddings(tmp_path / "e.parquet", "", "") as rows:
        (unfinished,) = tmp_path.iterdir()
        sizes = []
        for _ in range(5):
            rows.add(["x"] * 4, np.zeros((4, 1000), "float32"))
            sizes.append(unfinished.stat().st_size)
            assert rows.paths == [] and rows.vectors == []
    assert sizes[-1] > 4 * 16_000 and sizes == sorted(sizes)


def test_only_the_row_groups_asked_for_are_read(tmp_path, rng, monkeypatch):
    import pyarrow.parquet

    monkeypatch.setattr(embeddings, "_ROW_GROUP", 16 * 3 * 4)
    vectors = rng.random((200, 3)).astype("float32")
    _write(tmp_path / "e.parquet", vectors)
    read, read_row_group = [], pyarrow.parquet.ParquetFile.read_row_group

    def noted(self, group, **options):
        read.append(group)
        return read_row_group(self, group, **options)

    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "read_row_group", noted)
    np.testing.assert_array_equal(read_rows(tmp_path / "e.parquet", [3]), vectors[3:4])
    assert read == [0]
    next(read_blocks(tmp_path / "e.parquet"))
    assert len(read) <= 1 + 3  # one is used, two are read ahead


def test_row_groups_of_other_programs_are_read_in_parts(tmp_path, rng, monkeypatch):
    import pyarrow
    import pyarrow.parquet

    monkeypatch.setattr(embeddings, "_LARGEST_GROUP", 1000)
    monkeypatch.setattr(embeddings, "_ROWS", 16)
    vectors = rng.random((50, 3)).astype("float32")
    embedding = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), 3)  # may be missing
    table = pyarrow.table({"path": [str(i) for i in range(50)], "embedding": embedding})
    pyarrow.parquet.write_table(table, tmp_path / "e.parquet")
    blocks = list(read_blocks(tmp_path / "e.parquet"))
    assert [len(block) for block in blocks] == [16, 16, 16, 2]
    np.testing.assert_array_equal(np.concatenate(blocks), vectors)
    np.testing.assert_array_equal(read_rows(tmp_path / "e.parquet", [40, 2]), vectors[[40, 2]])


def test_files_of_others_are_read_too(tmp_path, rng):
    vectors = rng.random((4, 3))  # float64
    np.savez(tmp_path / "e.npz", paths=["a", "b", "c", "d"], embeddings=vectors)
    assert read_info(tmp_path / "e.npz").paths == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(read_vectors(tmp_path / "e.npz"), vectors.astype("float32"))


def test_other_files_are_named(tmp_path):
    with pytest.raises(InputError, match="There is no file .*gone.npz.*simclr-keras embed"):
        read_info(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="must end in .npz or .parquet. Received: .*x.csv"):
        read_info(tmp_path / "x.csv")
    np.savez(tmp_path / "other.npz", x=1)
    (tmp_path / "other.parquet").write_bytes(b"no parquet")
    (tmp_path / "broken.npz").write_bytes(b"PK\3\4")
    (tmp_path / "empty.npz").touch()
    np.savez(tmp_path / "pickles.npz", paths=np.array([Pickled()]), embeddings=np.ones((1, 2)))
    for name in ("other.npz", "other.parquet", "broken.npz", "empty.npz"):
        for read in (read_info, read_vectors):
            with pytest.raises(InputError, match=f"{name} does not hold embeddings"):
                read(tmp_path / name)
    with pytest.raises(InputError, match="pickles.npz does not hold embeddings"):
        read_info(tmp_path / "pickles.npz")


class Pickled:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)
