"""Finds and reads the images in an ArrayRecord file of `tf.train.Example`s.

Its records are compressed in blocks, so an image has no place of its own: it is read by the number of
its record. Reading is that of `builder.as_data_source`, which keeps all files open; here are few.
"""

import os
from collections.abc import Callable

import numpy as np

from ..errors import InputError
from .example_bytes import find_image
from .shard_index import Shard
from .unreadable import why_damaged

_AT_A_TIME = 64  # records


def index_array_records(
    file: str, image_key: str, label_key: str | None, expected: int
) -> Shard:
    """Finds the images of one file; reads it once from end to end.

    Args:
        file: Its path.
        image_key: The feature that holds an encoded image.
        label_key: The feature that holds its label. `None` for none.
        expected: The number of records.

    Returns:
        What is in it, with its damage; `offset` are the numbers of the records.
    """
    lengths, labels = np.full(expected, -1, np.int32), np.full(expected, -1, np.int64)
    damage = {}

    def add(number: int, record: bytes) -> None:
        try:
            start, end, labels[number] = find_image(record, image_key, label_key)
            image = record[start:end]
            reason = why_damaged(image)
        except ValueError as error:
            reason = f"not a tf.train.Example of an image: {error}"
        if reason:
            damage[number] = f"record {number} ({reason})"
        else:
            lengths[number] = len(image)

    try:
        reader = ArrayRecordReader(file, image_key)
    except OSError:
        damage[0] = f"record 0 (no such file, with the {expected - 1} after it)"
        return Shard(np.arange(expected), lengths, labels, damage)
    count = min(reader.count, expected)
    for first in range(0, count, _AT_A_TIME):
        numbers = range(first, min(first + _AT_A_TIME, count))
        try:
            records = reader.records(numbers)
        except ValueError:
            records = []
            for number in numbers:  # which of them it was
                try:
                    (record,) = reader.records([number])
                except ValueError:
                    damage[number] = f"record {number} (damaged)"
                else:
                    add(number, record)
        for number, record in zip(numbers, records):
            add(number, record)
    if count < expected:
        after = f", with the {expected - count - 1} after it" if expected - count > 1 else ""
        damage[count] = f"record {count} (cut off{after})"
    return Shard(np.arange(expected), lengths, labels, damage)


def array_record_name(file: str, offset: int) -> str:
    """The file and number, counted from 0, of a record."""
    return f"{os.path.basename(file)}, record {offset}"


def reader_of(image_key: str) -> Callable[[str], "ArrayRecordReader"]:
    """What opens a file whose images are in a feature of this name."""
    return lambda file: ArrayRecordReader(file, image_key)


class ArrayRecordReader:
    """Reads images by the number of their record.

    Args:
        file: The file.
        image_key: The feature that holds an encoded image.

    Raises:
        OSError: If there is no such file.
        InputError: If `array_record` is not installed.
    """

    def __init__(self, file: str, image_key: str):
        os.stat(file)
        self._image_key = image_key
        try:
            from array_record.python.array_record_module import ArrayRecordReader
        except ImportError as error:
            raise InputError(
                f"{file} is an ArrayRecord file, which needs the package array_record: pip install "
                f"array_record. Received: {error}"
            ) from error
        self._reader = ArrayRecordReader(file, "")

    @property
    def count(self) -> int:
        """The number of records; 0 if the end of the file is damaged."""
        return self._reader.num_records()

    def records(self, numbers) -> list[bytes]:
        """The records of some numbers; a `ValueError` if one is damaged."""
        try:
            return self._reader.read(list(numbers))
        except (RuntimeError, IndexError) as error:
            raise ValueError(" ".join(str(error).split())[:80]) from None

    def read(self, offset: int, length: int) -> bytes:
        (record,) = self.records([offset])
        start, end, _ = find_image(record, self._image_key, None)
        return record[start:end]
