"""Files of embeddings: written whole or not at all, read in blocks."""

import concurrent.futures
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..files import whole_file
from ..local_copies import file_here, with_local_copies

_ROW_GROUP = 2**23  # bytes of vectors that `.parquet` collects before it writes them
_LARGEST_GROUP = 8 * _ROW_GROUP  # larger ones, of other programs, are read in parts
_READ_AHEAD = 2  # row groups
_ROWS = 16_384
_METADATA = b"simclr_keras"
# What NumPy, zipfile, zlib and pyarrow raise for files that are damaged or of another kind.
_DAMAGE = (
    *(KeyError, TypeError, ValueError, AttributeError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)


@dataclasses.dataclass(frozen=True)
class EmbeddingsInfo:
    """What a file of embeddings holds besides its vectors.

    Attributes:
        paths: Name of each row's image.
        unreadable: Images that could not be decoded and have no row.
        root: The folder that paths are relative to; "" if they are not files.
        model: The exported model that embedded them.
        signature: Of the model; see `trust.py`.
    """

    paths: list[str]
    unreadable: list[str]
    root: str = ""
    model: str = ""
    signature: str = ""


def check_suffix(path: pathlib.Path, name: str) -> None:
    """Raises an `InputError` if a file is neither `.npz` nor `.parquet`.

    Raises:
        InputError: If the suffix is not supported.
    """
    if path.suffix not in (".npz", ".parquet"):
        raise InputError(f"{name} must end in .npz or .parquet. Received: {path}")


@contextlib.contextmanager
def write_embeddings(
    output: pathlib.Path, root: str, model: str, signature: str = ""
) -> Iterator:
    """Collects rows in a file that appears under its name only when it is complete.

    `.parquet` is written as rows arrive, in constant memory; `.npz` at the end.

    Args:
        output: The file, `.npz` or `.parquet`; its folder is created.
        root: See `EmbeddingsInfo`.
        model: See `EmbeddingsInfo`.
        signature: See `EmbeddingsInfo`.

    Yields:
        An object with `add(paths, vectors)` and the list `unreadable`.
    """
    with whole_file(output) as unfinished:
        rows = (_Npz if output.suffix == ".npz" else _Parquet)(unfinished)
        try:
            yield rows
            info = {"root": root, "model": model, "signature": signature}
            rows.close({"unreadable": rows.unreadable, **info})
        finally:
            rows.release()


class _Rows:
    """Rows in memory."""

    def __init__(self, file: pathlib.Path):
        file.touch()  # a folder that is not writable fails now, not at the end
        self.file = file
        self.unreadable: list[str] = []
        self.paths: list[str] = []
        self.vectors: list[np.ndarray] = []

    def add(self, paths, vectors):
        self.paths.extend(paths)
        self.vectors.append(vectors)

    def release(self):
        pass


class _Npz(_Rows):
    """Rows written at the end."""

    def close(self, info):
        texts = {key: np.array(value, str) for key, value in info.items()}
        vectors = np.concatenate(self.vectors)
        np.savez(self.file, paths=np.array(self.paths, str), embeddings=vectors, **texts)


class _Parquet(_Rows):
    """Rows written group by group."""

    writer = None

    def add(self, paths, vectors):
        super().add(paths, vectors)
        if sum(part.nbytes for part in self.vectors) >= _ROW_GROUP:
            self._flush()

    def _flush(self):
        import pyarrow
        import pyarrow.parquet

        if not self.paths:
            return
        vectors = np.concatenate(self.vectors)
        # Numbers that cannot be missing are read faster.
        number = pyarrow.field("element", pyarrow.float32(), nullable=False)
        kind = pyarrow.list_(number, vectors.shape[1])
        embedding = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), type=kind)
        fields = [("path", pyarrow.string()), pyarrow.field("embedding", kind, nullable=False)]
        table = pyarrow.table([self.paths, embedding], pyarrow.schema(fields))
        if self.writer is None:
            # Vectors of floats neither repeat nor compress.
            self.writer = pyarrow.parquet.ParquetWriter(
                self.file, table.schema, compression="none", use_dictionary=False
            )
        self.writer.write_table(table)
        self.paths, self.vectors = [], []

    def close(self, info):
        self._flush()
        self.writer.add_key_value_metadata({_METADATA: json.dumps(info).encode()})
        self.release()

    def release(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


@with_local_copies
def read_info(path: str | os.PathLike) -> EmbeddingsInfo:
    """Reads everything but the vectors from a file of embeddings.

    Raises:
        InputError: If the file does not exist or does not hold embeddings.
    """
    path = file_here(path)
    with _explained(path):
        if path.suffix == ".npz":
            with np.load(path) as saved:
                known = {key: saved[key].tolist() for key in saved.files if key != "embeddings"}
            with _npz_array(path) as (_, count, _, _):
                pass
        else:
            import pyarrow.parquet

            with pyarrow.parquet.ParquetFile(path) as file:
                known = json.loads((file.metadata.metadata or {}).get(_METADATA, b"{}"))
                known["paths"] = file.read(columns=["path"])["path"].to_pylist()
                count = file.metadata.num_rows
        names = {field.name for field in dataclasses.fields(EmbeddingsInfo)}
        known.setdefault("unreadable", [])
        if not known["paths"] or count != len(known["paths"]):
            raise ValueError(f"{len(known['paths'])} names and {count} vectors")
        return EmbeddingsInfo(**{key: value for key, value in known.items() if key in names})


def read_blocks(path: str | os.PathLike, rows: int = _ROWS) -> Iterator[np.ndarray]:
    """Reads the vectors of a file of embeddings in blocks.

    Args:
        path: `.npz` or `.parquet`.
        rows: Maximum number of vectors in a block.

    Yields:
        float32 `(n, D)`, in the file's order.

    Raises:
        InputError: As `read_info`.
    """
    path = file_here(path)
    with _explained(path):
        for _, block in _placed_blocks(path):
            for start in range(0, len(block), rows):
                yield block[start : start + rows]


@with_local_copies
def read_vectors(path: str | os.PathLike) -> np.ndarray:
    """Reads all vectors of a file of embeddings, float32 `(N, D)`."""
    return np.concatenate(list(read_blocks(path)))


def read_rows(path: str | os.PathLike, places: Sequence[int]) -> np.ndarray:
    """Reads some vectors of a file of embeddings.

    Args:
        path: `.npz` or `.parquet`.
        places: Their places in the file.

    Returns:
        float32 `(n, D)`, in the order of `places`.

    Raises:
        InputError: As `read_info`.
    """
    path, found = file_here(path), {}
    with _explained(path):
        for start, block in _placed_blocks(path, places):
            found.update({p: block[p - start] for p in places if 0 <= p - start < len(block)})
    return np.stack([found[place] for place in places])


def _placed_blocks(path, places=None) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (place of the first row, float32 `(n, D)`), in order; those of `places` at least."""
    return _npz_blocks(path) if path.suffix == ".npz" else _parquet_blocks(path, places)


@contextlib.contextmanager
def _npz_array(path):
    """Yields the stream of the vectors, their number, their dimension and their type."""
    with zipfile.ZipFile(path) as archive, archive.open("embeddings.npy") as stream:
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[np.lib.format.read_magic(stream)]
        (count, dimension), is_fortran, dtype = read_header(stream)
        if is_fortran:
            raise ValueError("the array is in column-major order")
        yield stream, count, dimension, dtype


def _npz_blocks(path):
    with _npz_array(path) as (stream, count, dimension, dtype):
        for start in range(0, count, _ROWS):
            size = min(_ROWS, count - start) * dimension * dtype.itemsize
            block = np.frombuffer(stream.read(size), dtype)
            yield start, block.reshape(-1, dimension).astype(np.float32, copy=False)


def _parquet_blocks(path, places):
    import pyarrow.parquet

    metadata = pyarrow.parquet.read_metadata(path)
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *(group.num_rows for group in groups)])
    if max((group.total_byte_size for group in groups), default=0) > _LARGEST_GROUP:
        with pyarrow.parquet.ParquetFile(path, metadata=metadata) as file:
            start = 0
            for batch in file.iter_batches(_ROWS, columns=["embedding"]):
                yield start, _vectors_of(batch.column(0))
                start += len(batch)
        return

    def read(group):  # each with a reader of its own: they run in threads
        with pyarrow.parquet.ParquetFile(path, metadata=metadata, memory_map=True) as file:
            table = file.read_row_group(group, columns=["embedding"], use_threads=False)
            return starts[group], _vectors_of(table["embedding"].combine_chunks())

    wanted = range(len(groups))
    if places is not None:
        wanted = np.unique(np.searchsorted(starts, places, side="right") - 1).tolist()
    # A row group is decoded while the one before is used.
    with concurrent.futures.ThreadPoolExecutor(_READ_AHEAD) as pool:
        remaining = iter(wanted)
        waiting = [pool.submit(read, each) for each in itertools.islice(remaining, _READ_AHEAD)]
        while waiting:
            read_group = waiting.pop(0).result()
            waiting += [pool.submit(read, each) for each in itertools.islice(remaining, 1)]
            yield read_group


def _vectors_of(column) -> np.ndarray:
    vectors = column.flatten().to_numpy(zero_copy_only=False)
    return vectors.reshape(-1, column.type.list_size).astype(np.float32, copy=False)


@contextlib.contextmanager
def _explained(path: pathlib.Path):
    check_suffix(path, "A file of embeddings")
    if not path.is_file():
        raise InputError(
            f"There is no file {path}. Write it with: simclr-keras embed MODEL IMAGES "
            f"--output {path}"
        )
    try:
        yield
    except _DAMAGE as error:
        raise InputError(
            f"{path} does not hold embeddings. Expected a file that simclr-keras embed wrote, "
            f"with paths and embeddings. Received: {type(error).__name__}: {error}"
        ) from error
