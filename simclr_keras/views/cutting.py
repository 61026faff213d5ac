"""Crops cut while decoding: for images of many sizes, from their full resolution."""

import functools

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

        def boxes(sides):
            return crops.crop_boxes(candidates, sides[0], sides[1], self._policy.crop_aspect)

        size, interpolation = self._policy.image_size, self._policy.interpolation
        if image.dtype == tf.string:
            pixels, cut = _decode(image, boxes, size)
        else:
            pixels = image
            if image.dtype != tf.uint8:
                pixels = tf.cast(tf.round(to_unit_range(image) * 255.0), tf.uint8)
            cut = boxes(tf.shape(image))
        return tf.stack([_resized(pixels, cut[view], size, interpolation) for view in (0, 1)])


def _decode(image_bytes, boxes, size):
    """The image and its boxes, in pixels of the scale that it was decoded at."""
    is_jpeg = tf.strings.substr(image_bytes, 0, 3) == b"\xff\xd8\xff"
    is_png = tf.strings.substr(image_bytes, 0, 4) == b"\x89PNG"
    cut = boxes(tf.io.extract_jpeg_shape(tf.where(is_jpeg, image_bytes, _small_jpeg())))
    least = tf.cast(tf.reduce_min(cut[:, 2:]), tf.int32)
    which = tf.reduce_sum(tf.cast(least >= [size * r for r in _REDUCTIONS[1:]], tf.int32))
    which = tf.where(is_jpeg, which, len(_REDUCTIONS) + tf.where(is_png, 0, 1))

    def jpeg(reduction):
        image = tf.io.decode_jpeg(image_bytes, channels=3, ratio=reduction)
        return image, cut / reduction

    def other(decode):
        image = tf.ensure_shape(decode(image_bytes), [None, None, 3])
        return image, boxes(tf.shape(image))

    return tf.switch_case(
        which,
        [
            *(lambda r=r: jpeg(r) for r in _REDUCTIONS),
            # TensorFlow refuses PNGs of more than 2^29 bytes before it decodes them.
            lambda: other(lambda content: tf.io.decode_png(content, channels=3)),
            lambda: other(_decode_other),
        ],
    )


def _decode_other(image_bytes):
    """GIF, BMP, and what is no image.

    In Python: `tf.data` passes through all the control flow of a branch that is not taken, and
    these formats need so much of it that every JPEG would take twice its time.
    """

    def decode(content):
        try:
            return decode_image(content)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from None  # an InvalidArgumentError outside

    return tf.py_function(decode, [image_bytes], tf.uint8)


@functools.cache
def _small_jpeg() -> bytes:
    """Stands for a file of another format where a JPEG is asked for its size."""
    # Not at import: several workers must be set up before TensorFlow does anything.
    with tf.init_scope():
        return tf.io.encode_jpeg(tf.zeros([1, 1, 3], tf.uint8)).numpy()


def _resized(image, box, size, interpolation):
    """What antialiased `tf.image.resize` gives, `(H, W, C), (4,) -> uint8 (S, S, C)`.

    Boxes are whole pixels of the file, and fractions of pixels of what was decoded smaller.
    """
    corner, extent = box[:2], box[2:]
    first = tf.floor(corner)
    last = tf.minimum(tf.math.ceil(corner + extent), tf.cast(tf.shape(image)[:2], tf.float32))
    (top, left), (bottom, right) = (tf.unstack(tf.cast(x, tf.int32)) for x in (first, last))
    part = image[None, top:bottom, left:right]
    scale = size / extent
    square = tf.raw_ops.ScaleAndTranslate(
        images=part,
        size=[size, size],
        scale=scale,
        translation=(first - corner) * scale,
        kernel_type=_KERNELS[interpolation],
        antialias=True,
    )
    if interpolation == "bicubic":
        square = tf.clip_by_value(square, 0.0, 255.0)  # its weights overshoot
    square = tf.cast(square[0] + 0.5, tf.uint8)
    return tf.ensure_shape(square, [size, size, image.shape[2]])
