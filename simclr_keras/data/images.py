"""Encoded bytes to RGB, the range of images, and the one resize of the package."""

import tensorflow as tf

from .headers import (
    begins_with,
    check_bmp_size,
    check_png_size,
    dependencies,
    file_start,
    first_frame,
)

_TOLERANCE = 1e-3  # what resampling and half precision may add
_RANGE_MESSAGE = (
    "Floating-point images must be in [0, 1] (uint8 images are 0-255). The usual cause is "
    "`image_dataset_from_directory`, which yields floating-point images in 0-255; mend it "
    "with `dataset.map(lambda images: images / 255.0)`."
)


def decode_image(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame) or BMP to RGB, eagerly or in a graph.

    Gray is repeated, CMYK is converted, alpha is dropped, 16 bits become 8, and the EXIF
    orientation is ignored: in training and serving alike.

    Args:
        image_bytes: string scalar, the encoded file.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are no such image, end too early, or
            declare more pixels than `headers.MAX_PIXELS`, which is found before decoding (of
            a JPEG, more than 2^29 bytes).

    Example:
        >>> import tensorflow as tf
        >>> from simclr_keras.data.images import decode_image
        >>> encoded = tf.io.encode_png(tf.zeros((4, 6, 1), tf.uint8))
        >>> tuple(decode_image(encoded).shape)
        (4, 6, 3)
    """
    image_bytes = tf.convert_to_tensor(image_bytes)
    start = file_start(image_bytes)
    # One branch at most on the way of nearly every file: each costs time in `tf.data`.
    image = tf.cond(
        begins_with(start, b"\xff\xd8\xff") | begins_with(start, b"\x89PNG\r\n\x1a\n"),
        lambda: _decode_jpeg_or_png(image_bytes, start),
        lambda: _decode_gif_or_bmp(image_bytes, start),
    )
    return tf.ensure_shape(image, [None, None, 3])


def _decode_jpeg_or_png(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    with dependencies(check_png_size(start)):
        return tf.io.decode_image(image_bytes, channels=3, expand_animations=False)


def _decode_gif_or_bmp(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    is_gif, is_bmp = begins_with(start, b"GIF8"), begins_with(start, b"BM")
    # Newer versions of TensorFlow decode WebP too, older ones do not.
    message = "Not an image: expected the bytes of a JPEG, PNG, GIF or BMP file."
    with dependencies(tf.debugging.Assert(is_gif | is_bmp, [message])):
        return tf.cond(
            is_gif,
            lambda: tf.io.decode_image(
                first_frame(image_bytes, start), channels=3, expand_animations=False
            ),
            lambda: _decode_bmp(image_bytes, start),
        )


def _decode_bmp(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    # TensorFlow's decoder refuses channels=3 unless the file has 24 bits per pixel, and
    # gives the palette's indices, not its colours, for 8 bits.
    with dependencies(check_bmp_size(start)):
        image = tf.io.decode_bmp(image_bytes, channels=0)
    return tf.cond(
        tf.shape(image)[2] == 1,
        lambda: tf.gather(_bmp_palette(image_bytes), tf.cast(image[:, :, 0], tf.int32)),
        lambda: image[:, :, :3],
    )


def _bmp_palette(image_bytes: tf.Tensor) -> tf.Tensor:
    """The colours of an 8-bit BMP, uint8 `(colours, 3)`."""

    def number(place: int) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(image_bytes, place, 4), tf.int32)[0]

    # After 14 bytes of file header and the image header, up to the pixels: B, G, R, 0.
    start, pixels = 14 + number(14), number(10)
    table = tf.strings.substr(image_bytes, start, (pixels - start) // 4 * 4)
    return tf.reshape(tf.io.decode_raw(table, tf.uint8), [-1, 4])[:, 2::-1]


def to_unit_range(images: tf.Tensor) -> tf.Tensor:
    """Images of either range as float32 in [0, 1].

    Args:
        images: uint8 in 0-255 or floating in 0-1, any shape.

    Returns:
        float32 of the same shape, in [0, 1].

    Raises:
        ValueError: If the dtype is another, or (executing eagerly) floating-point values
            are outside [0, 1]. In a graph that is a `tf.errors.InvalidArgumentError` with
            the same text; code compiled by XLA does not check it.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.data.images import to_unit_range
        >>> to_unit_range(np.array([0, 255], "uint8")).numpy().tolist()
        [0.0, 1.0]
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
    fits = tf.reduce_all((images >= -_TOLERANCE) & (images <= 1.0 + _TOLERANCE))
    low, high = tf.reduce_min(images), tf.reduce_max(images)
    if tf.executing_eagerly():
        if not fits:
            raise ValueError(
                f"{_RANGE_MESSAGE} Received: values from {float(low):g} to {float(high):g}"
            )
        return images
    received = [_RANGE_MESSAGE, "Received: values from", low, "to", high]
    with tf.control_dependencies([tf.debugging.Assert(fits, received)]):
        return tf.identity(images)


def resize_and_center_crop(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """The largest central square, resized: what evaluation and serving see of an image.

    Bilinear with antialiasing and without draws.

    Args:
        image: uint8 in 0-255 or floating in 0-1, `(H, W, C)` or a batch `(N, H, W, C)`;
            H and W from 1.
        image_size: S >= 1, the side of the result in pixels.

    Returns:
        float32 `(S, S, C)` or `(N, S, S, C)`, in [0, 1].

    Raises:
        ValueError: As `to_unit_range`.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.data.images import resize_and_center_crop
        >>> tuple(resize_and_center_crop(np.zeros((40, 60, 3), "uint8"), 32).shape)
        (32, 32, 3)
    """
    image = tf.convert_to_tensor(image)
    height, width = tf.shape(image)[-3], tf.shape(image)[-2]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[..., top : top + side, left : left + side, :]
    is_uint8 = square.dtype == tf.uint8
    if not is_uint8:
        square = to_unit_range(square)
    # uint8 is resized as it is and divided afterwards: a quarter of the memory.
    square = tf.image.resize(square, [image_size, image_size], antialias=True)
    square = tf.cast(square, tf.float32) / (255.0 if is_uint8 else 1.0)
    return tf.clip_by_value(square, 0.0, 1.0)
