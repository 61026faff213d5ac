"""TFDS splits whose images are read from the shards when needed."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..stores import is_remote
from .array_records import array_record_name, index_array_records, reader_of
from .records import index_records, record_name
from .shard_index import kept_index
from .shard_source import file_reader
from .sources import ImageSource

_CYCLE, _BLOCK = (
    16,
    16,
)  # TFDS reads so many shards at once, and so many examples of each in turn


def load_shards(
    builder, name: str, split: str, image_key: str, label_key: str | None, skip_unreadable: bool
) -> ImageSource:
    """A split stored as TFRecords or ArrayRecords, in the order in which TFDS reads it.

    Args:
        builder: The TFDS builder.
        name: The name of the dataset for messages.
        split: One of its splits.
        image_key: The feature that holds the image.
        label_key: The feature that holds the label; `None` for none.
        skip_unreadable: Skip damaged records instead of raising an `InputError`.

    Raises:
        InputError: If the shards are stored in another way, or records are damaged.
    """
    info = builder.info.splits[split]
    stored_as = builder.info.file_format.value
    files = [str(path) for path in info.filepaths]
    as_records = stored_as == "tfrecord"
    if not as_records and (stored_as != "array_record" or is_remote(files[0])):
        raise InputError(
            f"{name} takes {info.num_bytes / 2**30:.0f} GiB, too much to be kept in memory. Images "
            "can be read when needed from tfrecord files, or from array_record files on a disk of "
            f"this machine. Received: {stored_as} files in {builder.data_dir}"
        )
    index_one = index_records if as_records else index_array_records
    in_order = builder.info.disable_shuffling or not as_records
    index = kept_index(
        files,
        f"{name} ({split})",
        lambda number: index_one(
            files[number], image_key, label_key, info.shard_lengths[number]
        ),
        order=None if in_order else read_order,
        settings=[image_key, label_key or ""],
    )
    return index.source(
        files,
        builder.info.features[label_key].names if label_key else (),
        name,
        record_name if as_records else array_record_name,
        skip_unreadable,
        file_reader if as_records else reader_of(image_key),
    )


def read_order(counts: Sequence[int]) -> np.ndarray:
    """The order in which TFDS reads the examples of a split, unless it asks for shard by shard.

    Images thus have the same numbers whether they are read from shards or into memory.

    Args:
        counts: The number of examples in each shard.

    Returns:
        int64 `(N,)`: places in the concatenated shards.
    """
    lengths = np.asarray(counts, np.int64)
    shards = tf.data.Dataset.from_tensor_slices((np.cumsum(lengths) - lengths, lengths))
    order = shards.interleave(
        lambda first, count: tf.data.Dataset.range(first, first + count),
        cycle_length=_CYCLE,
        block_length=_BLOCK,
    )
    taken, first = np.empty(lengths.sum(), np.int64), 0
    for batch in order.batch(2**16).as_numpy_iterator():
        taken[first : first + len(batch)] = batch
        first += len(batch)
    return taken
