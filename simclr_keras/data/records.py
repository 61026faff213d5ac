"""Finds the images in a TFRecord file of `tf.train.Example`s.

TensorFlow reads the records and checks their checksums. Here is what it does not say: where each
record lies, so that an image can be read by its place, and where the next begins after a damaged one.
A record is: its length (8 bytes, little-endian), a checksum of the length (4), the example, a
checksum of the example (4).
"""

import array
import os
import struct

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..stores import open_file, stamp
from .example_bytes import find_image
from .shard_index import Shard
from .unreadable import why_damaged

_HEADER, _FOOTER = 12, 4
_COMPRESSED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # gzip, zlib
_BATCH_BYTES, _MOST_RECORDS = 4 * 2**20, 256  # read at a time


def index_records(
    file: str, image_key: str, label_key: str | None, expected: int | None = None
) -> Shard:
    """Finds the images of one TFRecord file; reads it once from end to end.

    Args:
        file: Its path.
        image_key: The feature that holds an encoded image.
        label_key: The feature that holds its label. `None` for none.
        expected: The number of records; if there are fewer, the others count as damaged. Defaults
            to those found.

    Returns:
        What is in it, with its damage.

    Raises:
        InputError: If the file is compressed, or an example has no such image.
    """
    offsets, lengths, labels = array.array("q"), array.array("i"), array.array("q")
    damage: dict[int, str] = {}

    def add(offset=0, length=-1, label=-1, reason: str | None = None) -> None:
        if reason:
            damage[len(offsets)] = f"record {len(offsets)} ({reason})"
        offsets.append(offset)
        lengths.append(length)
        labels.append(label)

    size, _ = stamp(file)
    batch = max(1, min(_MOST_RECORDS, _BATCH_BYTES * (expected or 1) // max(size, 1)))
    place, at_a_time, lost = 0, batch, "cut off"
    while place < size:
        try:
            for records in _records(file, place).batch(at_a_time).as_numpy_iterator():
                for record in records:
                    try:
                        start, end, label = find_image(record, image_key, label_key)
                    except ValueError as error:
                        add(reason=f"not a tf.train.Example of an image: {error}")
                    else:
                        content = record[start:end]
                        reason = why_damaged(content)
                        length = -1 if reason else end - start
                        add(place + _HEADER + start, length, label, reason)
                    place += _HEADER + len(record) + _FOOTER
            break  # what is left, if anything, is less than a header
        except tf.errors.DataLossError:
            if at_a_time > 1:  # which of them it was
                at_a_time = 1
                continue
            record_length = _length(file, place)
            if record_length is None:
                lost = "bad length"
                break
            if place + _HEADER + record_length + _FOOTER > size:
                break
            add(reason="bad checksum")
            place, at_a_time = place + _HEADER + record_length + _FOOTER, batch
    missing = max((expected or 0) - len(offsets), int(place < size))
    if missing:
        first = len(offsets)
        reason = lost if size >= 0 else "no such file"
        for _ in range(missing):
            add()
        after = f", with the {missing - 1} after it" if missing > 1 else ""
        damage[first] = f"record {first} ({reason}{after})"
    return Shard(np.asarray(offsets), np.asarray(lengths), np.asarray(labels), damage)


def record_name(file: str, offset: int) -> str:
    """The file and number, counted from 0, of the record that holds the byte at a place."""
    number = place = 0
    with open_file(file) as stream:
        while (header := stream.read(8)) and len(header) == 8:
            place += _HEADER + struct.unpack("<Q", header)[0] + _FOOTER
            if place > offset:
                break
            stream.seek(place)
            number += 1
    return f"{os.path.basename(file)}, record {number}"


def _records(file: str, place: int) -> tf.data.Dataset:
    """The records from a place on; raises a DataLossError for what is damaged."""
    dataset = tf.data.experimental.from_variant(
        tf.raw_ops.TFRecordDatasetV2(
            filenames=[file], compression_type="", buffer_size=2**20, byte_offsets=[place]
        ),
        tf.TensorSpec([], tf.string),
    )
    # TensorFlow cannot rewrite this dataset: it forgets the place (seen in 2.15 and 2.21).
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def _length(file: str, place: int) -> int | None:
    """The length of the record at a place; `None` if its checksum says that it is damaged."""
    with open_file(file) as stream:
        stream.seek(place)
        header = stream.read(_HEADER)
    if place == 0 and header.startswith(_COMPRESSED):
        raise InputError(
            f"{file} is compressed. Expected plain TFRecords, in which an image can be read by "
            "its place: prepare the data again, without compression."
        )
    if len(header) < _HEADER:
        return None
    length, checksum = struct.unpack("<QI", header)
    return length if _masked_checksum(header[:8]) == checksum else None


def _masked_checksum(data: bytes) -> int:
    """CRC-32C as TFRecord files store it; for a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
