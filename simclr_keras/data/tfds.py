"""Loads TFDS datasets as sources in memory."""

import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..errors import InputError, did_you_mean
from .parallel import map_examples, without_tuning
from .sources import ArraySource, EncodedSource, ImageSource

_ARRAY_BYTES = 4 * 2**30  # up to this size, images of one shape are kept decoded
_ENCODED_BYTES = 8 * 2**30
_HELD_OUT = ("test", "validation")  # in this order of preference


def load_tfds(name: str, split: str, data_dir: str | None = None) -> tuple[ImageSource, bool]:
    """Loads a split of a TFDS dataset; downloads and prepares it if needed.

    Images of one shape are decoded into one array if it takes up to 4 GiB; others are kept
    as encoded bytes, up to 8 GiB.

    Args:
        name: `"cifar10"`, `"imagenet2012_subset/1pct"`, ...
        split: `"all"` and `"train"` are the training split, `"test"` is the test or
            validation split, or the training split if there is neither.
        data_dir: Folder of TFDS data. Defaults to the environment variable TFDS_DATA_DIR, or
            TFDS' own folder.

    Returns:
        The source, and whether it is the requested split. If not (there is nothing to test
        on), it is the training split.

    Raises:
        InputError: If there is no such dataset or split, it has no images, cannot be
            downloaded, or does not fit in memory.
    """
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        try:
            builder.download_and_prepare()
        except Exception as error:  # from any library that the dataset downloads with
            raise InputError(
                f"TFDS could not download {name} to {builder.data_dir}: {_line(error)}. "
                "Download it on a machine with a connection, and set `data_dir` or "
                "TFDS_DATA_DIR to its folder."
            ) from error
    splits = builder.info.splits
    held_out = _test_part(splits)
    chosen = held_out if split == "test" and held_out else "train"
    if chosen not in splits:
        raise InputError(
            f"The TFDS dataset {name} has no train split, only {', '.join(splits)}. Name other "
            "data."
        )
    return _read(builder, name, chosen), split == "all" or held_out is not None


def tfds_has_test_part(name: str, data_dir: str | None = None) -> bool:
    """Whether a prepared TFDS dataset has a split to test on."""
    return _test_part(_builder(name, data_dir).info.splits) is not None


def _builder(name: str, data_dir: str | None):
    import tensorflow_datasets as tfds

    # TFDS reads the variable only at import.
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise InputError(_unknown(name, error)) from error


def _test_part(splits) -> str | None:
    return next((part for part in _HELD_OUT if part in splits), None)


def _unknown(name: str, error: Exception) -> str:
    import tensorflow_datasets as tfds

    known = ["digits", *tfds.list_builders()]
    if name.split("/")[0].split(":")[0] in known:
        return f"TFDS has no dataset {name!r}: {_line(error)}"
    return (
        f"There is no dataset {name!r}.{did_you_mean(name, known)} Expected digits, the name of a "
        "TFDS dataset such as cifar10, or a directory of images."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _read(builder, name: str, split: str) -> ImageSource:
    """Reads one of TFDS' own splits into memory."""
    import tensorflow_datasets as tfds

    features, info = builder.info.features, builder.info.splits[split]
    image_key = _first(features, tfds.features.Image)
    label_key = _first(features, tfds.features.ClassLabel)
    if image_key is None:
        raise InputError(f"The TFDS dataset {name} has no images, only {list(features)}.")
    image = features[image_key]
    uniform = None not in image.shape and image.np_dtype == np.uint8
    count, size = info.num_examples, info.num_bytes
    as_array = uniform and count * int(np.prod(image.shape)) <= _ARRAY_BYTES
    if not as_array and size > _ENCODED_BYTES:
        raise InputError(
            f"{name} takes {size / 2**30:.0f} GiB, more than the "
            f"{_ENCODED_BYTES / 2**30:.0f} GiB that may be kept in memory. Name a subset, or a "
            "directory of image files, which are read when needed."
        )
    dataset = builder.as_dataset(
        split=split,
        decoders=None if as_array else {image_key: tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False),
    )

    def select(example):
        label = example[label_key] if label_key else -1
        return example[image_key], tf.cast(label, tf.int64)

    dataset = without_tuning(map_examples(dataset, select).batch(1024))
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    kind: Callable[..., ImageSource] = ArraySource if as_array else EncodedSource
    class_names = features[label_key].names if label_key else ()
    return kind(np.concatenate(images), np.concatenate(labels), class_names, name=name)


def _first(features, kind: type) -> str | None:
    return next((key for key, value in features.items() if type(value) is kind), None)
