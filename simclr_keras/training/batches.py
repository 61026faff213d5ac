"""What `SimCLR.fit` takes: the images and labels of a batch, and sentences about the rest."""

import collections.abc
import itertools
import types
import typing

import keras
import numpy as np
import tensorflow as tf

from ..data.images import to_unit_range

_CHECKED_ROWS = 64  # of an array, for values outside [0, 1]
_BATCHED = "Batch the dataset with `dataset.batch(256, drop_remainder=True)`"
_NO_WEIGHTS = (
    "`sample_weight` and `class_weight` have no meaning for SimCLR: its loss contrasts all images of "
    "a batch with each other. Leave them out."
)


def images_and_labels(data) -> tuple:
    """The images and labels of a batch, or of its specification, as Keras or TFDS holds it.

    Args:
        data: Images, (images,), (images, labels), or a TFDS dictionary with `image` and `label`.

    Returns:
        The images, and the labels or `None`.

    Raises:
        ValueError: If there are weights, or a dictionary has no images.
    """
    if isinstance(data, tuple) and len(data) == 1:
        (data,) = data
    if isinstance(data, collections.abc.Mapping):
        if "image" not in data:
            raise ValueError(
                "A batch that is a dictionary needs the key `image`, as in TFDS. Received: "
                f"{sorted(data)}"
            )
        return data["image"], data.get("label")
    images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
    if weights is not None:
        raise ValueError(_NO_WEIGHTS)
    return images, labels


def checked_batches(
    x: typing.Any,
    value_range: tuple[float, float],
    sample_weight: typing.Any = None,
    class_weight: typing.Any = None,
) -> tuple[typing.Any, tf.TensorShape]:
    """Raises a `ValueError` before anything is traced if `fit` cannot train on this.

    Looks at the shapes and dtypes of what is given, and at the values of the first images unless
    it is a dataset. Of a generator, and of a `PyDataset`, the first batch is read.

    Args:
        x: First argument of `fit`.
        value_range: Of floating-point images.
        sample_weight: Of `fit`.
        class_weight: Of `fit`.

    Returns:
        What to train on: `x`, or a generator that begins with the batch that was read; and the
        shape of a batch, as far as it is known.

    Raises:
        ValueError: If there are weights, or `x` does not hold batches of images.
    """
    if sample_weight is not None or class_weight is not None:
        raise ValueError(_NO_WEIGHTS)
    if isinstance(x, tf.data.Dataset):
        images, _ = images_and_labels(x.element_spec)
        _check_specification(images.shape, images.dtype, _BATCHED)
        return x, images.shape
    if isinstance(x, (np.ndarray, tf.Tensor)):
        return x, _check_values(x, value_range, "Give an array of images")
    if isinstance(x, types.GeneratorType):
        first = next(x, None)
        if first is None:
            raise ValueError("The generator yields nothing: give one with batches of images.")
        shape = _check_values(images_and_labels(first)[0], value_range, "Yield batches")
        return _as_tuples(first, x), shape
    if isinstance(x, keras.utils.Sequence):  # `PyDataset` in Keras 3
        return x, _check_values(images_and_labels(x[0])[0], value_range, "Return batches")
    return x, tf.TensorShape(None)


def _as_tuples(first, rest) -> collections.abc.Generator:
    """All batches, as the tuples that Keras wants from a generator."""
    for batch in itertools.chain([first], rest):
        yield batch if isinstance(batch, tuple) else (batch,)


def _check_values(images, value_range, advice: str) -> tf.TensorShape:
    some = np.asarray(images[:_CHECKED_ROWS])
    _check_specification(tf.TensorShape(some.shape), tf.as_dtype(some.dtype), advice)
    with tf.init_scope():
        to_unit_range(some, value_range)
    return tf.TensorShape([None, *some.shape[1:]])


def _check_specification(shape: tf.TensorShape, dtype: tf.DType, advice: str) -> None:
    if dtype == tf.string:
        raise ValueError(
            "Images must be decoded: map the dataset with `tf.io.decode_image`, or pretrain on the "
            "folder with `sk.pretrain`. Received: strings"
        )
    if shape.rank not in (None, 4, 5):
        raise ValueError(
            f"Batches must have the shape (N, H, W, C). {advice}; give images without channels "
            f"one with `images[..., None]`. Received: {tuple(shape)}"
        )
