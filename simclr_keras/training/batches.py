"""What `SimCLR.fit` takes: the images and labels of a batch, and sentences about the rest."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from ..data.images import to_unit_range

_CHECKED_ROWS = 64  # of an array, for values outside [0, 1]
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
    if isinstance(data, Mapping):
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


def check_batches(x, sample_weight=None, class_weight=None) -> None:
    """Raises a `ValueError` before anything is traced if `fit` cannot train on this.

    Looks at the shapes and dtypes of arrays and datasets and at the values of the first images of
    an array. Other data, such as generators, is checked while it is read.

    Args:
        x: First argument of `fit`.
        sample_weight: Of `fit`.
        class_weight: Of `fit`.

    Raises:
        ValueError: If there are weights, or `x` does not hold batches of images.
    """
    if sample_weight is not None or class_weight is not None:
        raise ValueError(_NO_WEIGHTS)
    if isinstance(x, tf.data.Dataset):
        images, _ = images_and_labels(x.element_spec)
        shape, dtype = images.shape, images.dtype
        advice = "Batch the dataset with `dataset.batch(256, drop_remainder=True)`"
    elif isinstance(x, (np.ndarray, tf.Tensor)):
        images, shape, dtype = x, tf.TensorShape(x.shape), tf.as_dtype(x.dtype)
        advice = "Give an array of images"
    else:
        return
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
    if isinstance(x, (np.ndarray, tf.Tensor)):
        with tf.init_scope():
            to_unit_range(images[:_CHECKED_ROWS])
