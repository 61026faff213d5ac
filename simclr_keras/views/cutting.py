"""Crops cut while decoding: for images of many sizes, from their full resolution."""

import tensorflow as tf

from ..data.images import decode_image, to_unit_range
from . import crops
from .augmenter import SimCLRAugmenter
from .uniforms import uniforms

_REDUCTIONS = (1, 2, 4, 8)  # what a JPEG decoder can leave out: the transform's fine detail
_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


class CropCutter:
    """Cuts the crops of both views out of each image of a pretraining dataset.

    They are the crops that the augmenter would cut on the device for the same (seed, step,
    position). It continues with flip, colour and blur when it is called on the batch.

    Args:
        augmenter: Whose crops to cut.
        seed: The run's seed.
    """

    def __init__(self, augmenter: SimCLRAugmenter, seed: int):
        self._policy = augmenter.policy
        self._seed = seed

    def draw(self, step: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """What depends on the step and the place in the batch, for a whole batch at once.

        Args:
            step: int64 scalar.
            positions: int64 `(N,)`, places in the global batch.

        Returns:
            float64 `(N, 2, 22)`: candidates (see `crops.crop_candidates`) of both views.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), step])
        return tf.stack(
            [
                crops.crop_candidates(
                    uniforms(seed, positions, view, crops.UNIFORMS),
                    self._policy.crop_area,
                    self._policy.crop_aspect,
                )
                for view in (0, 1)
            ],
            axis=1,
        )

    def cut(self, image: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """The two crops of one image of any size.

        The image is decoded once. A JPEG whose crops are both at least twice the view's side
        is decoded at a half, quarter or eighth of its scale, so that each keeps that side.

        Args:
            image: The encoded file, a string scalar, or uint8 or floating `(H, W, C)`.
            candidates: float64 `(2, 22)`, a row of `draw`.

        Returns:
            uint8 `(2, S, S, C)`.
        """

        def boxes(height, width):
            return crops.crop_boxes(candidates, height, width, self._policy.crop_aspect)

        size, interpolation = self._policy.image_size, self._policy.interpolation
        if image.dtype != tf.string:
            pixels = tf.cast(tf.round(to_unit_range(image) * 255.0), tf.uint8)
            cut = boxes(tf.shape(image)[0], tf.shape(image)[1])
        else:
            pixels, cut = tf.cond(
                tf.strings.substr(image, 0, 3) == b"\xff\xd8\xff",
                lambda: _decode_jpeg(image, boxes, size),
                lambda: _decode(image, boxes),
            )
        return tf.stack([_resized(pixels, cut[view], size, interpolation) for view in (0, 1)])


def _decode(image_bytes, boxes):
    image = decode_image(image_bytes)
    return image, boxes(tf.shape(image)[0], tf.shape(image)[1])


def _decode_jpeg(image_bytes, boxes, size):
    shape = tf.io.extract_jpeg_shape(image_bytes)
    cut = boxes(shape[0], shape[1])
    least = tf.cast(tf.reduce_min(cut[:, 2:]), tf.int32)
    which = sum(tf.cast(least >= size * r, tf.int32) for r in _REDUCTIONS[1:])
    image = tf.switch_case(
        which,
        [lambda r=r: tf.io.decode_jpeg(image_bytes, channels=3, ratio=r) for r in _REDUCTIONS],
    )
    return image, cut / tf.cast(tf.gather(_REDUCTIONS, which), tf.float32)


def _resized(image, box, size, interpolation):
    """What antialiased `tf.image.resize` gives, `(H, W, C), (4,) -> uint8 (S, S, C)`.

    Boxes are whole pixels of the file, and fractions of pixels of what was decoded smaller.
    """
    corner, extent = box[:2], box[2:]
    first = tf.floor(corner)
    last = tf.minimum(tf.math.ceil(corner + extent), tf.cast(tf.shape(image)[:2], tf.float32))
    (top, left), (bottom, right) = (tf.unstack(tf.cast(x, tf.int32)) for x in (first, last))
    part = image[None, top:bottom, left:right]
    side = tf.constant([size, size])

    def antialiased():
        scale = tf.cast(side, tf.float32) / extent
        return tf.raw_ops.ScaleAndTranslate(
            images=part,
            size=side,
            scale=scale,
            translation=(first - corner) * scale,
            kernel_type=_KERNELS[interpolation],
            antialias=True,
        )

    def enlarged():  # the same numbers in a quarter of the time
        return tf.raw_ops.ResizeBilinear(images=part, size=side, half_pixel_centers=True)

    if interpolation == "bilinear":
        square = tf.cond(tf.reduce_max(extent) < size, enlarged, antialiased)
    else:
        square = tf.clip_by_value(antialiased(), 0.0, 255.0)  # bicubic weights overshoot
    square = tf.cast(square[0] + 0.5, tf.uint8)
    return tf.ensure_shape(square, [size, size, image.shape[2]])
