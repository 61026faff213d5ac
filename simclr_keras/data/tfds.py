"""Loads TFDS datasets: into memory if they fit."""

import functools
import os
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..errors import InputError, did_you_mean
from .parallel import map_examples, without_tuning
from .sources import ArraySource, EncodedSource, ImageSource
from .tfds_shards import load_shards
from .unreadable import why_damaged

_ARRAY_BYTES = 4 * 2**30  # up to this size, images of one shape are kept decoded
_ENCODED_BYTES = 8 * 2**30
_HELD_OUT = ("test", "validation")  # in this order of preference


def load_tfds(
    name: str, split: str, data_dir: str | None = None, skip_unreadable: bool = False
) -> tuple[ImageSource, bool]:
    """Loads a split of a TFDS dataset; downloads and prepares it if needed.

    Images of one shape are decoded into one array if it takes up to 4 GiB; others are kept
    as encoded bytes, up to 8 GiB. Beyond that, images are read from the shards when needed.

    Args:
        name: `"cifar10"`, `"imagenet2012_subset/1pct"`, ...
        split: `"all"` and `"train"` are the training split, `"test"` is the test or
            validation split (the latter if the test split has no labels, as that of
            imagenet2012), or the training split if there is neither.
        data_dir: Folder of TFDS data. Defaults to the environment variable TFDS_DATA_DIR, or
            TFDS' own folder.
        skip_unreadable: Skip damaged records instead of raising an `InputError`.

    Returns:
        The source, and whether it is the requested split. If not (there is nothing to test
        on), it is the training split.

    Raises:
        InputError: If there is no such dataset or split, it has no images, cannot be
            downloaded, is damaged, or fits neither in memory nor is stored in shards whose
            images can be read one by one.
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
    held_out = [part for part in _HELD_OUT if part in splits]
    chosen = _labelled(builder, name, held_out) if split == "test" and held_out else "train"
    if chosen not in splits:
        raise InputError(
            f"The TFDS dataset {name} has no train split, only {', '.join(splits)}. Name other "
            "data."
        )
    source = _read(builder, name, chosen, skip_unreadable)
    return source, split == "all" or bool(held_out)


def tfds_has_test_part(name: str, data_dir: str | None = None) -> bool:
    """Whether a prepared TFDS dataset has a split to test on."""
    return any(part in _builder(name, data_dir).info.splits for part in _HELD_OUT)


def tfds_names() -> list[str]:
    """The names of all datasets that TFDS prepares."""
    import tensorflow_datasets as tfds

    # Those of communities are looked up online, and their names hold a colon.
    return tfds.list_builders(with_community_datasets=False)


def _builder(name: str, data_dir: str | None):
    import tensorflow_datasets as tfds

    # TFDS reads the variable only at import.
    data_dir = data_dir or os.environ.get("TFDS_DATA_DIR")
    try:
        return tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS asserts, and datasets take arguments of their own
        raise InputError(_unknown(name, error)) from error


def _labelled(builder, name: str, parts: list[str]) -> str:
    """The first of some splits whose first example has a label, or the first of all."""
    import tensorflow_datasets as tfds

    image_key, label_key = _keys(builder, name)
    if len(parts) == 1 or label_key is None:
        return parts[0]
    for part in parts:
        if builder.info.file_format.value == "array_record":
            decoders = {image_key: tfds.decode.SkipDecoding()}
            label = builder.as_data_source(part, decoders=decoders)[0][label_key]
        else:
            _, (label,) = _read_all(builder, part, image_key, label_key, False, count=1)
        if label >= 0:
            return part
    return parts[0]


def _unknown(name: str, error: Exception) -> str:
    known = ["digits", *tfds_names()]
    if name.split("/")[0].split(":")[0] in known:
        return f"TFDS has no dataset {name!r}: {_line(error)}"
    return (
        f"There is no dataset {name!r}.{did_you_mean(name, known)} Expected digits, the name of a "
        "TFDS dataset such as cifar10, or a directory of images."
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _read(builder, name: str, split: str, skip_unreadable: bool) -> ImageSource:
    """One of TFDS' own splits."""
    features, info = builder.info.features, builder.info.splits[split]
    image_key, label_key = _keys(builder, name)
    image = features[image_key]
    uniform = None not in image.shape and image.np_dtype == np.uint8
    as_array = uniform and info.num_examples * int(np.prod(image.shape)) <= _ARRAY_BYTES
    from_shards = functools.partial(
        load_shards, builder, name, split, image_key, label_key, skip_unreadable
    )
    class_names = features[label_key].names if label_key else ()
    if builder.info.file_format.value == "array_record":
        source = from_shards()
        channels = image.shape[-1]
        if not as_array or channels not in (1, 3) or len(source) < info.num_examples:
            return source
        images = np.stack([source.load(k)[..., :channels] for k in range(len(source))])
        return ArraySource(images, source.labels, class_names, name=name)
    if not as_array and info.num_bytes > _ENCODED_BYTES:
        return from_shards()
    try:
        images, labels = _read_all(builder, split, image_key, label_key, as_array)
    except tf.errors.OpError:
        return from_shards()  # names what is damaged, or skips it
    if not as_array and any(map(why_damaged, images)):
        return from_shards()
    kind: Callable[..., ImageSource] = ArraySource if as_array else EncodedSource
    return kind(images, labels, class_names, name=name)


def _read_all(
    builder, split: str, image_key: str, label_key: str | None, as_array: bool, count: int = -1
) -> tuple[np.ndarray, np.ndarray]:
    """The images, decoded if `as_array`, and labels of a split, or of its first examples."""
    import tensorflow_datasets as tfds

    dataset = builder.as_dataset(
        split=split,
        decoders=None if as_array else {image_key: tfds.decode.SkipDecoding()},
        read_config=tfds.ReadConfig(try_autocache=False),
    )

    def select(example):
        label = example[label_key] if label_key else -1
        return example[image_key], tf.cast(label, tf.int64)

    dataset = without_tuning(map_examples(dataset.take(count), select).batch(1024))
    images, labels = zip(*dataset.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _keys(builder, name: str) -> tuple[str, str | None]:
    """The features that hold the image and the label; `None` for no label."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    image_key = _first(features, tfds.features.Image)
    if image_key is None:
        raise InputError(
            f"The TFDS dataset {name} has no images of its own, only {list(features)}: expected a "
            "feature `Image` that is not inside another."
        )
    return image_key, _first(features, tfds.features.ClassLabel)


def _first(features, kind: type) -> str | None:
    return next((key for key, value in features.items() if type(value) is kind), None)
