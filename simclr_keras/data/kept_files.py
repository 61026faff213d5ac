"""Where what was found in folders and shards is kept, and how other workers get it."""

import contextlib
import contextvars
import hashlib
import json
import logging
import os
import pathlib
import zipfile
from collections.abc import Iterable, Iterator

import numpy as np

from ..files import whole_file

_LOGGER = logging.getLogger("simclr_keras")
_AT_A_TIME = 2**15  # rows
_USED = contextvars.ContextVar[set[pathlib.Path] | None]("_USED", default=None)


def kept_file(name: str, *decides: str) -> pathlib.Path:
    """The file in which something is kept: of the name of the data, and what decides what is found."""
    digest = hashlib.sha256("\0".join(decides).encode("utf-8", "surrogateescape")).hexdigest()
    file = index_folder() / f"{name.replace(os.sep, '-')[-80:]}-{digest[:16]}.npz"
    if (used := _USED.get()) is not None:
        used.add(file)
    return file


def index_folder() -> pathlib.Path:
    """The folder that indexes are kept in: `SIMCLR_KERAS_CACHE`, or a user's folder of caches."""
    if folder := os.environ.get("SIMCLR_KERAS_CACHE"):
        return pathlib.Path(folder)
    caches = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    return pathlib.Path(caches) / "simclr_keras"


def write_arrays(file: pathlib.Path, **arrays: np.ndarray) -> None:
    """Writes what `np.load` reads, completely or not at all.

    In small pieces, unlike `np.savez`: those of 16 MiB leave holes in memory that are not used again.

    Args:
        file: The file.
        **arrays: Arrays of at least one dimension.
    """
    with whole_file(file) as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = np.lib.format.header_data_from_array_1_0(
                    np.ascontiguousarray(array[:0])
                )
                header["shape"] = array.shape
                np.lib.format.write_array_header_1_0(member, header)
                for first in range(0, len(array), _AT_A_TIME):
                    member.write(array[first : first + _AT_A_TIME].tobytes())


@contextlib.contextmanager
def noted_files() -> Iterator[set[pathlib.Path]]:
    """Context that notes which kept files are read or written in it; some may not exist."""
    used: set[pathlib.Path] = set()
    token = _USED.set(used)
    try:
        yield used
    finally:
        _USED.reset(token)


def packed_files(files: Iterable[pathlib.Path]) -> bytes:
    """The names and contents of kept files, for other workers."""
    contents = {file.name: file.read_bytes() for file in sorted(files) if file.exists()}
    lengths = json.dumps({name: len(content) for name, content in contents.items()})
    return b"\n".join([lengths.encode(), b"".join(contents.values())])


def unpack_files(packed: bytes) -> None:
    """Keeps what `packed_files` has packed elsewhere, as if it was found here.

    What belongs to other files than those of the same paths here is not used, as ever.
    """
    lengths, contents = packed.split(b"\n", 1)
    first = 0
    for name, length in json.loads(lengths).items():
        file, content = index_folder() / name, contents[first : first + length]
        first += length
        try:
            if not file.exists() or file.read_bytes() != content:  # they may share a disk
                with whole_file(file) as unfinished:
                    unfinished.write_bytes(content)
        except OSError as error:
            _LOGGER.warning("What the first worker found cannot be kept here: %s.", error)
