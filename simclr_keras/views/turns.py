"""Vertical flips and quarter turns: with the horizontal flip, the eight symmetries of a square.

They move whole pixels, so nothing is resampled and no corner has to be filled: the planes
`(N, C, S, S)` (channel, column, row; see `crops`) keep every value.
"""

import tensorflow as tf


def flip_vertically(planes: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """Flips the images top to bottom where `which`, bool `(N,)`."""
    return _where(which, planes[:, :, :, ::-1], planes)


def turn(planes: tf.Tensor, quarters: tf.Tensor) -> tf.Tensor:
    """Turns each image counterclockwise, as `tf.image.rot90`.

    Args:
        planes: float32 `(N, C, S, S)`.
        quarters: int32 `(N,)`, quarter turns, 0 to 3.

    Returns:
        float32 `(N, C, S, S)`.
    """
    planes = _where(quarters % 2 == 1, tf.transpose(planes, [0, 1, 3, 2]), planes)
    planes = flip_vertically(planes, (quarters == 1) | (quarters == 2))
    return _where(quarters >= 2, planes[:, :, ::-1], planes)


def _where(which: tf.Tensor, changed: tf.Tensor, planes: tf.Tensor) -> tf.Tensor:
    return tf.where(which[:, None, None, None], changed, planes)
