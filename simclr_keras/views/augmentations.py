"""The operations of a view as pure functions of a batch and one parameter per image.

N images, H x W pixels, S the side of the view, C channels; values in [0, 1]. Every function
is differentiable, free of random numbers and made of operations that XLA compiles.
"""

import itertools
import math

import tensorflow as tf

from ..data.images import to_unit_range

CROP_CANDIDATES = 10  # torchvision's number; the first that fits inside the image is taken
CROP_UNIFORMS = 2 * CROP_CANDIDATES + 2
# The 24 orders of (brightness, contrast, saturation, hue).
JITTER_ORDERS = tuple(itertools.permutations(range(4)))


def crop_boxes(
    uniforms: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> tf.Tensor:
    """Boxes of "Inception-style" random crops (Chen et al. 2020, Appendix A).

    Ten candidates draw an area uniformly from `area` (a share of the image) and the logarithm
    of an aspect ratio (width / height) uniformly from `aspect`; the first that fits is placed
    uniformly. When none fits the box is the largest central one of an allowed aspect ratio.

    Args:
        uniforms: float32 `(N, 22)` in [0, 1): ten areas, ten aspect ratios, top, left.
        height: Image height in pixels, an integer or `(N,)`.
        width: Image width in pixels, an integer or `(N,)`.
        area: Least and greatest share of the image, in (0, 1].
        aspect: Least and greatest width / height.

    Returns:
        float32 `(N, 4)` of whole numbers: top, left, height, width.
    """
    rows = tf.shape(uniforms)[0]
    height = tf.broadcast_to(tf.cast(height, tf.float32), [rows])[:, None]  # (N, 1)
    width = tf.broadcast_to(tf.cast(width, tf.float32), [rows])[:, None]
    areas = area[0] + uniforms[:, :CROP_CANDIDATES] * (area[1] - area[0])  # (N, 10)
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratios = tf.exp(low + uniforms[:, CROP_CANDIDATES : 2 * CROP_CANDIDATES] * (high - low))
    pixels = areas * height * width
    # One pixel at least: an 8 % crop of a very small image would round to nothing.
    heights = tf.maximum(tf.round(tf.sqrt(pixels / ratios)), 1.0)
    widths = tf.maximum(tf.round(tf.sqrt(pixels * ratios)), 1.0)
    # The last candidate always fits: the centre crop.
    central_width = tf.minimum(width, tf.maximum(tf.round(height * aspect[1]), 1.0))
    central_height = tf.minimum(height, tf.maximum(tf.round(width / aspect[0]), 1.0))
    fits = (heights <= height) & (widths <= width)
    first = tf.argmax(tf.pad(fits, [[0, 0], [0, 1]], constant_values=True), axis=1)
    chosen = tf.one_hot(first, CROP_CANDIDATES + 1)  # (N, 11)
    box_height = tf.reduce_sum(chosen * tf.concat([heights, central_height], 1), 1)
    box_width = tf.reduce_sum(chosen * tf.concat([widths, central_width], 1), 1)
    free_rows, free_columns = height[:, 0] - box_height, width[:, 0] - box_width
    top = tf.floor(uniforms[:, -2] * (free_rows + 1.0))
    left = tf.floor(uniforms[:, -1] * (free_columns + 1.0))
    none_fits = first == CROP_CANDIDATES
    top = tf.where(none_fits, tf.floor(free_rows / 2.0), top)
    left = tf.where(none_fits, tf.floor(free_columns / 2.0), left)
    return tf.stack([top, left, box_height, box_width], axis=1)


def _resampling(start: tf.Tensor, length: tf.Tensor, source: int, size: int) -> tf.Tensor:
    """Rows of weights that resample [start, start + length) of `source` pixels to `size`.

    The triangle kernel of antialiased bilinear `tf.image.resize`, one matrix per image:
    `(N,), (N,) -> (N, size, source)`.
    """
    scale = (length / size)[:, None]  # (N, 1) source pixels per output pixel
    centres = start[:, None] + (tf.range(size, dtype=tf.float32) + 0.5) * scale  # (N, size)
    pixels = tf.range(tf.cast(source, tf.float32)) + 0.5  # (source,)
    distance = tf.abs(pixels - centres[:, :, None]) / tf.maximum(scale, 1.0)[:, :, None]
    inside = (pixels > start[:, None]) & (pixels < (start + length)[:, None])
    weights = tf.maximum(1.0 - distance, 0.0) * tf.cast(inside, tf.float32)[:, None]
    return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def crop_flip_resize(
    images: tf.Tensor, boxes: tf.Tensor, flip: tf.Tensor, size: int
) -> tf.Tensor:
    """Cuts one box from each image, resizes it to a square, mirrors it where asked.

    Two products with one matrix per image and side, because `tf.image.crop_and_resize`
    neither compiles with XLA nor antialiases.

    Args:
        images: float32 `(N, H, W, C)`.
        boxes: float32 `(N, 4)`: top, left, height, width in whole pixels.
        flip: bool `(N,)`: mirror left and right.
        size: S, the side of the result.

    Returns:
        float32 `(N, S, S, C)`, equal to slicing and antialiased bilinear `tf.image.resize`.
    """
    shape = tf.shape(images)
    count, height, width = shape[0], shape[1], shape[2]
    channels = images.shape[3]
    top, left, box_height, box_width = tf.unstack(boxes, num=4, axis=1)
    rows = _resampling(top, box_height, height, size)  # (N, S, H)
    columns = _resampling(left, box_width, width, size)  # (N, S, W)
    columns = tf.where(flip[:, None, None], columns[:, ::-1], columns)
    images = tf.matmul(rows, tf.reshape(images, [count, height, width * channels]))
    images = tf.reshape(images, [count, size, width, channels])
    images = tf.reshape(tf.transpose(images, [0, 2, 1, 3]), [count, width, size * channels])
    images = tf.reshape(tf.matmul(columns, images), [count, size, size, channels])
    return tf.transpose(images, [0, 2, 1, 3])


def color_jitter(
    images: tf.Tensor,
    brightness: tf.Tensor,
    contrast: tf.Tensor,
    saturation: tf.Tensor,
    hue: tf.Tensor,
    order: tf.Tensor,
) -> tf.Tensor:
    """Brightness, contrast, saturation and hue, in each image's own order, clipped after each.

    Brightness multiplies (the v2 form); contrast is `(x - mean) * contrast + mean` with each
    channel's own mean, as `tf.image.adjust_contrast`; saturation and hue act in HSV, as
    `tf.image.adjust_saturation` and `adjust_hue`, and are left out unless there are three
    channels.

    Args:
        images: float32 `(N, S, S, C)` in [0, 1].
        brightness: float32 `(N,)`, factor >= 0.
        contrast: float32 `(N,)`, factor >= 0.
        saturation: float32 `(N,)`, factor >= 0.
        hue: float32 `(N,)`, in turns (1 is the whole circle).
        order: int32 `(N,)`, index into `JITTER_ORDERS`.

    Returns:
        float32 `(N, S, S, C)` in [0, 1].
    """
    operations = tf.gather(tf.constant(JITTER_ORDERS), order)  # (N, 4)
    for place in range(4):
        operation = operations[:, place][:, None, None, None]  # (N, 1, 1, 1)
        is_brightness, is_contrast = operation == 0, operation == 1
        # Brightness and contrast are one formula: x * f + (1 - f) * centre.
        factor = tf.where(is_brightness, _per_image(brightness), _per_image(contrast))
        mean = tf.reduce_mean(images, axis=[1, 2], keepdims=True)
        centre = tf.where(is_contrast, mean, 0.0)
        changed = images * factor + (1.0 - factor) * centre
        if images.shape[3] == 3:
            shift = tf.where(operation == 3, _per_image(hue), 0.0)
            factor = tf.where(operation == 2, _per_image(saturation), 1.0)
            in_hsv = _adjust_in_hsv(images, shift, factor)
        else:
            in_hsv = images
        images = tf.where(is_brightness | is_contrast, changed, in_hsv)
        images = tf.clip_by_value(images, 0.0, 1.0)
    return images


def _adjust_in_hsv(images: tf.Tensor, hue_shift: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Turns hues and scales saturations, `(N, S, S, 3)` with factors `(N, 1, 1, 1)`.

    In ordinary arithmetic, because `tf.image.rgb_to_hsv` compares with the maximum (below).
    """
    red, green, blue = tf.split(images, 3, axis=3)
    value = tf.reduce_max(images, axis=3, keepdims=True)
    chroma = value - tf.reduce_min(images, axis=3, keepdims=True)
    divisor = tf.where(chroma > 0, chroma, 1.0)
    # Channels are compared with each other, not with the maximum: XLA may compute a channel
    # twice with other rounding, and none would equal it.
    sextant = tf.where(
        (red >= green) & (red >= blue),
        (green - blue) / divisor,
        tf.where(green >= blue, 2.0 + (blue - red) / divisor, 4.0 + (red - green) / divisor),
    )
    sextant = sextant + 6.0 * hue_shift
    # Saturation is chroma / value, at most 1; chroma is what the way back needs.
    chroma = tf.minimum(chroma * saturation, value)
    offsets = sextant + tf.constant([5.0, 3.0, 1.0])  # of red, green and blue
    offsets = offsets - 6.0 * tf.floor(offsets / 6.0)
    return value - chroma * tf.clip_by_value(tf.minimum(offsets, 4.0 - offsets), 0.0, 1.0)


def grayscale(images: tf.Tensor) -> tf.Tensor:
    """Luma in all three channels, `(N, S, S, 3) -> (N, S, S, 3)`."""
    return tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(images))


def blur_radius(size: int) -> int:
    """Half the blur kernel, whose side is a tenth of the image's (paper, Appendix A)."""
    return size // 10 // 2


def gaussian_blur(images: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with a sigma per image and edges reflected.

    Args:
        images: float32 `(N, S, S, C)`, square, of static size.
        sigma: float32 `(N,)`, in pixels; 0 leaves the image as it is.

    Returns:
        float32 `(N, S, S, C)`. Below 20 pixels the kernel has one tap: nothing changes.
    """
    size, channels = images.shape[1], images.shape[3]
    radius = blur_radius(size)
    if radius == 0:
        return images
    offsets = tf.range(-radius, radius + 1)
    exponent = -tf.square(tf.cast(offsets, tf.float32)) / 2.0  # (K,)
    kernel = tf.nn.softmax(exponent / tf.maximum(tf.square(sigma), 1e-8)[:, None])  # (N, K)
    # Output pixel i reads pixel i + offset, mirrored at the edge without repeating it.
    reads = tf.range(size) + offsets[:, None]  # (K, S)
    reads = (size - 1) - tf.abs((size - 1) - tf.abs(reads))
    matrix = tf.tensordot(kernel, tf.one_hot(reads, size), 1)  # (N, S, S)
    count = tf.shape(images)[0]
    images = tf.matmul(matrix, tf.reshape(images, [count, size, size * channels]))
    images = tf.reshape(images, [count, size, size, channels])
    images = tf.reshape(tf.transpose(images, [0, 2, 1, 3]), [count, size, size * channels])
    images = tf.reshape(tf.matmul(matrix, images), [count, size, size, channels])
    return tf.transpose(images, [0, 2, 1, 3])


def cut_crop(image: tf.Tensor, box: tf.Tensor, flip: tf.Tensor, size: int) -> tf.Tensor:
    """`crop_flip_resize` for one image of any size, for use while decoding.

    Args:
        image: uint8 or floating `(H, W, C)`.
        box: float32 `(4,)`: top, left, height, width.
        flip: bool scalar.
        size: S, the side of the result.

    Returns:
        uint8 `(S, S, C)`.
    """
    top, left, height, width = tf.unstack(tf.cast(box, tf.int32), num=4)
    crop = to_unit_range(image[top : top + height, left : left + width])
    crop = tf.image.resize(crop, [size, size], antialias=True)
    crop = tf.where(flip, crop[:, ::-1], crop)
    return tf.cast(tf.round(tf.clip_by_value(crop, 0.0, 1.0) * 255.0), tf.uint8)


def _per_image(values: tf.Tensor) -> tf.Tensor:
    return values[:, None, None, None]
