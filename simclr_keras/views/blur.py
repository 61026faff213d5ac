"""Gaussian blur with a sigma per image, as a pure function that XLA can compile."""

import tensorflow as tf


def blur_radius(size: int) -> int:
    """Radius of the blur kernel, whose width is a tenth of the image's (paper, Appendix A)."""
    return size // 10 // 2


def gaussian_blur(planes: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """Blurs square planes along both axes; edges are reflected.

    Args:
        planes: float32 `(N, C, S, S)` (see `crops`), of static size.
        sigma: float32 `(N,)`, in pixels; 0 leaves the image unchanged.

    Returns:
        float32 `(N, C, S, S)`. Below 20 pixels the kernel has one tap: nothing changes.
    """
    radius = blur_radius(planes.shape[2])
    if radius == 0:
        return planes
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    exponent = -tf.square(offsets) / 2.0  # (K,)
    kernel = tf.nn.softmax(exponent / tf.maximum(tf.square(sigma), 1e-8)[:, None])  # (N, K)
    for axis in (2, 3):
        planes = _correlate(planes, kernel, axis)
    return planes


def _correlate(planes: tf.Tensor, kernel: tf.Tensor, axis: int) -> tf.Tensor:
    """Correlates one axis with a symmetric kernel per image, `(N, K)`; edges are reflected."""
    radius = kernel.shape[1] // 2
    size = planes.shape[axis]
    padding = [[0, 0]] * 4
    padding[axis] = [radius, radius]
    padded = tf.pad(planes, padding, mode="REFLECT")

    def shifted(offset):
        begin = [0, 0, 0, 0]
        begin[axis] = radius + offset
        extent = [-1, -1, -1, -1]
        extent[axis] = size
        return tf.slice(padded, begin, extent)

    def weight(offset):
        return kernel[:, radius + offset][:, None, None, None]

    result = shifted(0) * weight(0)
    for offset in range(1, radius + 1):
        result += (shifted(offset) + shifted(-offset)) * weight(offset)
    return result
