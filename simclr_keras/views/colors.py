"""Colour jitter, grayscale and solarization: pure functions, one parameter per image.

All take and return float32 planes `(N, C, S, S)` in [0, 1] (see `crops`), draw no random
numbers and use only operations that XLA can compile.
"""

import itertools
from collections.abc import Callable

import tensorflow as tf

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
_SOLARIZE_ABOVE = 0.5  # as in BYOL
# The 24 orders of (brightness, contrast, saturation, hue).
JITTER_ORDERS = tuple(itertools.permutations(range(4)))


def color_jitter(
    planes: tf.Tensor,
    brightness: tf.Tensor,
    contrast: tf.Tensor,
    saturation: tf.Tensor,
    hue: tf.Tensor,
    order: tf.Tensor,
    step: Callable[..., tf.Tensor] | None = None,
) -> tf.Tensor:
    """Brightness, contrast, saturation and hue, in each image's own order, clipped after each.

    Brightness multiplies (the v2 form) or adds (v1); contrast is `(x - mean) * contrast +
    mean` with each channel's own mean, as in `tf.image.adjust_contrast`; saturation and hue act
    in HSV, as in `tf.image.adjust_saturation` and `adjust_hue`, and are skipped unless there
    are three channels.

    Args:
        planes: float32 `(N, C, S, S)` in [0, 1].
        brightness: float32 `(N,)`, factor >= 0; 1 changes nothing.
        contrast: float32 `(N,)`, factor >= 0; 1 changes nothing.
        saturation: float32 `(N,)`, factor >= 0; 1 changes nothing.
        hue: float32 `(N,)`, in turns (1 is the whole circle); 0 changes nothing.
        order: int32 `(N,)`, index into `JITTER_ORDERS`.
        step: A replacement for `jitter_step`, such as its compiled form.

    Returns:
        float32 `(N, C, S, S)` in [0, 1].
    """
    step = step or jitter_step
    operations = tf.gather(tf.constant(JITTER_ORDERS), order)  # (N, 4)
    for place in range(len(JITTER_ORDERS[0])):
        planes = step(planes, operations[:, place], brightness, contrast, saturation, hue)
    return planes


def jitter_step(
    planes: tf.Tensor,
    operation: tf.Tensor,
    brightness: tf.Tensor,
    contrast: tf.Tensor,
    saturation: tf.Tensor,
    hue: tf.Tensor,
    additive_brightness: bool = False,
) -> tf.Tensor:
    """Applies one of the four operations to each image; other arguments as for `color_jitter`.

    Every image goes through one formula, whose coefficients select the operation: a loop over
    images or a branch would cost more than the arithmetic.

    Args:
        operation: int32 `(N,)`, `BRIGHTNESS`, `CONTRAST`, `SATURATION` or `HUE`.
        additive_brightness: Add `brightness` - 1 instead of multiplying.
    """
    operation, brightness, contrast, saturation, hue = (
        x[:, None, None, None] for x in (operation, brightness, contrast, saturation, hue)
    )
    factor = tf.where(operation == CONTRAST, contrast, 1.0)
    mean = tf.reduce_mean(planes, axis=[2, 3], keepdims=True)
    offset = mean * (1.0 - factor)
    if additive_brightness:
        offset += tf.where(operation == BRIGHTNESS, brightness - 1.0, 0.0)
    else:
        factor *= tf.where(operation == BRIGHTNESS, brightness, 1.0)
    changed = tf.clip_by_value(planes * factor + offset, 0.0, 1.0)
    if planes.shape[1] != 3:
        return changed
    in_hsv = _adjust_in_hsv(
        planes,
        tf.where(operation == HUE, hue, 0.0),
        tf.where(operation == SATURATION, saturation, 1.0),
    )
    return tf.where(operation >= SATURATION, in_hsv, changed)


def _adjust_in_hsv(planes: tf.Tensor, hue_shift: tf.Tensor, saturation: tf.Tensor) -> tf.Tensor:
    """Shifts hues and scales saturations of `(N, 3, S, S)` by `(N, 1, 1, 1)` parameters.

    In plain arithmetic, because `tf.image.rgb_to_hsv` compares with the maximum (see below).
    """
    red, green, blue = tf.split(planes, 3, axis=1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    inverse = 1.0 / tf.maximum(chroma, 1e-20)
    # Channels are compared with each other, not with the maximum: XLA may compute a channel
    # twice with different rounding, and then none would equal the maximum.
    sextant = tf.where(
        (red >= green) & (red >= blue),
        (green - blue) * inverse,
        tf.where(green >= blue, 2.0 + (blue - red) * inverse, 4.0 + (red - green) * inverse),
    )
    sextant = sextant + 6.0 * hue_shift
    sextant = sextant - 6.0 * tf.floor(sextant / 6.0)  # in [0, 6)
    # Saturation is chroma / value, at most 1; the conversion back to RGB needs chroma.
    chroma = tf.minimum(chroma * saturation, value)
    # Trapezoids over the sextant: red is full around 0 and 6, green around 2, blue around 4.
    red = tf.abs(sextant - 3.0) - 1.0
    green = 2.0 - tf.abs(sextant - 2.0)
    blue = 2.0 - tf.abs(sextant - 4.0)
    fullness = tf.clip_by_value(tf.concat([red, green, blue], axis=1), 0.0, 1.0)
    return value - chroma * (1.0 - fullness)


def grayscale(planes: tf.Tensor) -> tf.Tensor:
    """Luma (ITU-R BT.601) in all three channels, as in `tf.image.rgb_to_grayscale`."""
    red, green, blue = tf.split(planes, 3, axis=1)
    luma = 0.2989 * red + 0.587 * green + 0.114 * blue  # TensorFlow's weights
    return tf.broadcast_to(luma, tf.shape(planes))


def solarize(planes: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """Inverts the values from 0.5 up, where `which`, bool `(N,)` (BYOL, arXiv 2006.07733)."""
    bright = planes >= _SOLARIZE_ABOVE
    return tf.where(which[:, None, None, None] & bright, 1.0 - planes, planes)
