"""Finds and reads the images in a Parquet file, as the package `datasets` of Hugging Face writes it.

In a column that is not compressed, the images lie in the file as they are: they are found once, and then
read by their place. Otherwise an image can only be read with its row group, of which a few are kept.
"""

import bisect
import functools
import itertools
import json
import mmap
import os
import threading
import typing
from collections.abc import Callable

import numpy as np

from ..errors import InputError
from ..stores import is_remote, open_file, read_at
from .shard_index import Shard
from .shard_source import file_reader
from .unreadable import why_damaged

_AT_A_TIME = 64  # rows
_GROUP_BYTES = 256 * 2**20  # the largest row group that is read for one image
_GROUPS_KEPT = 8
_LABEL_NAMES = ("label", "labels", "class", "cls", "target")


class Columns(typing.NamedTuple):
    """The columns of a file.

    Attributes:
        image: The path of the bytes of the images, such as `image.bytes`.
        label: The column of the labels; `None` for none.
        class_names: The names of the labels; `None` if they are not known.
    """

    image: str
    label: str | None
    class_names: tuple[str, ...] | None


def find_columns(file: str) -> Columns:
    """Finds the columns of images and labels: those that Hugging Face's schema calls so, or by type.

    Args:
        file: A Parquet file.

    Raises:
        InputError: If there is no column of encoded images, or the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with open_file(file) as stream:
            schema = pyarrow.parquet.read_schema(stream)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} is no Parquet file, or it is damaged: {error}") from error
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = described.get("info", {}).get("features", {})

    def of_type(name: str) -> list[str]:
        return [
            key
            for key, value in features.items()
            if isinstance(value, dict) and value.get("_type") == name
        ]

    def is_binary(kind) -> bool:
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    images = {
        field.name: field.name if is_binary(field.type) else f"{field.name}.bytes"
        for field in schema
        if is_binary(field.type)
        or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    }
    image = next((key for key in (*of_type("Image"), *images) if key in images), None)
    if image is None:
        raise InputError(
            f"{file} has no column of encoded images, only {', '.join(schema.names)}: expected "
            "bytes, or a struct of bytes and path."
        )
    integers = [field.name for field in schema if pa.types.is_integer(field.type)]
    labels = [*of_type("ClassLabel"), *_LABEL_NAMES]
    label = next((key for key in labels if key in integers), None)
    names = features.get(label, {}).get("names") if label else None
    return Columns(images[image], label, tuple(names) if names else None)


def index_parquet(file: str, columns: Columns) -> Shard:
    """Finds the images of one Parquet file; reads it once from end to end.

    Args:
        file: Its path.
        columns: Its columns.

    Returns:
        What is in it, with its damage. An `offset` below 0 stands for -1 - the number of the row.

    Raises:
        InputError: If a row group is too large to be read for one image.
    """
    import pyarrow as pa
    import pyarrow.parquet

    parquet = pyarrow.parquet.ParquetFile(open_file(file))
    count = parquet.metadata.num_rows
    offsets, lengths = -1 - np.arange(count), np.full(count, -1, np.int32)
    labels = np.full(count, -1, np.int64)
    damage: dict[int, str] = {}
    wanted = [columns.image, *([columns.label] if columns.label else [])]
    row = 0
    content = None if is_remote(file) else _mapped(file)
    lies_in: mmap.mmap | bytes
    for group in range(parquet.metadata.num_row_groups):
        chunk = _chunk(parquet.metadata.row_group(group), columns.image)
        is_plain, place = chunk.compression == "UNCOMPRESSED", _start(chunk)
        start, end = place, place + chunk.total_compressed_size
        if not (is_plain and content) and chunk.total_uncompressed_size > _GROUP_BYTES:
            raise InputError(
                f"{file} has a row group of {chunk.total_uncompressed_size / 2**20:,.0f} MiB, which "
                f"would be read for {'each image' if content else 'the index'}. Write it again with "
                f"at most {_GROUP_BYTES / 2**20:.0f} MiB in a group (`row_group_size=100`)"
                f"{', or without compression' if content else ''}."
            )
        lies_in, origin = content or b"", 0
        if is_plain and content is None:
            with open_file(file) as stream:
                lies_in, origin = read_at(stream, start, end - start), start
        try:
            for batch in parquet.iter_batches(_AT_A_TIME, row_groups=[group], columns=wanted):
                for image, label in _rows(batch, columns):
                    if image is None:
                        reason: str | None = "no bytes"
                    else:
                        reason = why_damaged(image)
                    if reason:
                        damage[row] = f"row {row} ({reason})"
                    else:
                        lengths[row], labels[row] = len(image), label
                        # Where one image ends, the next begins; equal ones may be stored once.
                        found = -1
                        if is_plain:
                            found = lies_in.find(image, place - origin, end - origin)
                        if found < 0 and is_plain:
                            found = lies_in.find(image, start - origin, end - origin)
                        if found >= 0:
                            offsets[row] = found + origin
                            place = found + origin + len(image)
                    row += 1
        except (pa.ArrowException, OSError) as error:
            last = sum(parquet.metadata.row_group(k).num_rows for k in range(group + 1))
            text = " ".join(str(error).split())[:80]
            damage[row] = f"row {row} ({text}, with the {last - row - 1} after it)"
            row = last
    return Shard(offsets, lengths, labels, damage)


def parquet_name(file: str, offset: int) -> str:
    """The file and the row, counted from 0, or the byte of an image."""
    place = f"row {-1 - offset}" if offset < 0 else f"byte {offset}"
    return f"{os.path.basename(file)}, {place}"


def parquet_reader(columns: Columns) -> Callable[[str], "ParquetReader"]:
    """What opens Parquet files; all together keep a few row groups in memory."""
    groups = functools.lru_cache(_GROUPS_KEPT)(
        lambda reader, number: reader.read_row_group(number, columns=[columns.image])
    )
    return lambda file: ParquetReader(file, columns, groups)


def _mapped(file: str) -> mmap.mmap:
    with open(file, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


class ParquetReader:
    """Reads images by their place, or by the number of their row.

    Args:
        path: The file.
        columns: Its columns.
        groups: Of a Parquet file and the number of a row group: its images as a table.
    """

    def __init__(self, path: str, columns: Columns, groups: Callable):
        self._plain = file_reader(path)
        self._path, self._columns, self._groups = path, columns, groups
        self._lock = threading.Lock()  # a `ParquetFile` reads for one thread at a time

    @functools.cached_property
    def _file(self):
        import pyarrow.parquet

        return pyarrow.parquet.ParquetFile(open_file(self._path))

    @functools.cached_property
    def _ends(self) -> list[int]:
        metadata = self._file.metadata
        rows = (metadata.row_group(k).num_rows for k in range(metadata.num_row_groups))
        return list(itertools.accumulate(rows))

    def read(self, offset: int, length: int) -> bytes:
        if offset >= 0:
            return self._plain.read(offset, length)
        import pyarrow as pa

        row = -1 - offset
        with self._lock:
            group = bisect.bisect_right(self._ends, row)
            try:
                table = self._groups(self._file, group)
            except pa.ArrowException as error:
                raise ValueError(f"row {row}: {error}") from None
        first = self._ends[group] - table.num_rows
        ((image, _),) = _rows(table.slice(row - first, 1), self._columns._replace(label=None))
        return image


def _rows(batch, columns: Columns):
    """The bytes of the image, or `None`, and the label of each row."""
    name, _, inner = columns.image.partition(".")
    images = batch.column(name).to_pylist()
    if inner:
        images = [image and image["bytes"] for image in images]
    labels = batch.column(columns.label).to_pylist() if columns.label else [-1] * len(images)
    for image, label in zip(images, labels):
        yield image, -1 if label is None else label


def _chunk(group, path: str):
    """The metadata of one column in a row group."""
    chunks = map(group.column, range(group.num_columns))
    return next(chunk for chunk in chunks if chunk.path_in_schema == path)


def _start(chunk) -> int:
    places = (chunk.dictionary_page_offset, chunk.data_page_offset)
    return min(place for place in places if place is not None)
