"""The value range of images, and the resize of their central square."""

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf

_TOLERANCE = 1e-3  # for errors of resampling and half precision
UNIT_RANGE = (0.0, 1.0)


def to_unit_range(
    images: tf.Tensor, value_range: tuple[float, float] = UNIT_RANGE
) -> tf.Tensor:
    """Converts images of either range to float32 in [0, 1].

    Args:
        images: uint8 in 0-255 or floating in `value_range`, any shape.
        value_range: Minimum and maximum of floating-point images.

    Returns:
        float32 of the same shape, in [0, 1].

    Raises:
        ValueError: If the dtype is not supported, or (in eager mode) floating-point values
            are outside [0, 1]. In a graph, such values raise a
            `tf.errors.InvalidArgumentError` with the same text; XLA-compiled code does not
            check them.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        return tf.cast(images, tf.float32) / 255.0
    if not images.dtype.is_floating:
        raise ValueError(
            "Images must be uint8 in 0-255 or floating-point in 0-1. "
            f"Received: dtype={images.dtype.name}"
        )
    images = tf.cast(images, tf.float32)
    low, high = value_range
    message = (
        "Floating-point images must be in [0, 1] (uint8 images are 0-255). The usual cause is "
        "`image_dataset_from_directory`, which yields floating-point images in 0-255; fix it "
        "with `dataset.map(lambda images: images / 255.0)`, or `value_range=(0, 255)` where "
        "there is one."
    )
    if (low, high) != UNIT_RANGE:
        images = (images - low) / (high - low)
        message = f"Floating-point images must be in `value_range`, {low:g} to {high:g}."
    fits = tf.reduce_all((images >= -_TOLERANCE) & (images <= 1.0 + _TOLERANCE))
    least, most = (low + (high - low) * f(images) for f in (tf.reduce_min, tf.reduce_max))
    if tf.executing_eagerly():
        if not fits:
            raise ValueError(
                f"{message} Received: values from {float(least):g} to {float(most):g}"
            )
        return images
    received = [message, "Received: values from", least, "to", most]
    with tf.control_dependencies([tf.debugging.Assert(fits, received)]):
        return tf.identity(images)


@contextlib.contextmanager
def in_one_sentence() -> Iterator[None]:
    """Context in which a traced check of value ranges raises its sentence, as an eager one does.

    Raises:
        ValueError: Instead of TensorFlow's error, which adds the trace of the graph.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"assertion failed: \[(.*must be in.*)\]", str(error))
        if found is None:
            raise
        raise ValueError(found[1].replace("] [", " ")) from None


def resize_and_center_crop(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """Resizes the largest central square, which is what evaluation and serving see of an image.

    Bilinear with antialiasing, and deterministic.

    Args:
        image: uint8 in 0-255 or floating in 0-1, `(H, W, C)` or a batch `(N, H, W, C)`;
            H, W >= 1.
        image_size: S >= 1, height and width of the result in pixels.

    Returns:
        float32 `(S, S, C)` or `(N, S, S, C)`, in [0, 1].

    Raises:
        ValueError: As `to_unit_range`.
    """
    image = tf.convert_to_tensor(image)
    height, width = tf.shape(image)[-3], tf.shape(image)[-2]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[..., top : top + side, left : left + side, :]
    is_uint8 = square.dtype == tf.uint8
    if not is_uint8:
        square = to_unit_range(square)
    # uint8 is resized first and divided afterwards: a quarter of the memory.
    square = _resized(square, image.shape, side, image_size) / (255.0 if is_uint8 else 1.0)
    return tf.clip_by_value(square, 0.0, 1.0)


def _resized(square: tf.Tensor, shape: tf.TensorShape, side: tf.Tensor, image_size: int):
    """A square at another size; one of that size as it is, which resizing would not change."""

    def keep():
        return tf.cast(square, tf.float32)

    def resize():
        return tf.image.resize(square, [image_size, image_size], antialias=True)

    if None not in shape[-3:-1]:
        return keep() if min(shape[-3:-1]) == image_size else resize()
    resized = tf.cond(side == image_size, keep, resize)
    # Not by `tf.ensure_shape` in `keep`: graph optimization would then never resize.
    resized.set_shape([*shape[:-3], image_size, image_size, shape[-1]])
    return resized
