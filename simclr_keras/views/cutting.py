"""Cuts crops from images of many sizes while decoding them, from their full resolution."""

import tensorflow as tf

from ..data.datasets import pretraining_dataset
from ..data.decoding import (
    REDUCTIONS,
    call_python,
    choose_reduction,
    decode_in_pipeline,
    is_fitting_jpeg,
    jpeg_sides,
)
from ..data.images import to_unit_range
from ..data.sources import ImageSource
from . import crops
from .augmenter import SimCLRAugmenter
from .parameters import draw_crops

_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic"}


class CropCutter:
    """Cuts the crops of all views from each image of a pretraining dataset.

    They are the crops that the augmenter would cut on the device for the same (seed, step,
    position). Called on the batch of crops, the augmenter continues with flip, colour and blur.

    Args:
        augmenter: The augmenter whose crops to cut.
        seed: The run's seed.
        reduced_scales: Decode a JPEG at 1/2, 1/4 or 1/8 scale if all crops are then still at
            least as large as the views. Choosing the scale costs a millisecond per image, which
            images less than twice as large as the views never recover. Defaults to True.
        views: V; 1 for `SimCLRAugmenter.one_view`. Defaults to the augmenter's.

    Example:
        >>> import simclr_keras as sk
        >>> augmenter = sk.SimCLRAugmenter(image_size=6)
        >>> batches = sk.pretraining_dataset(
        ...     sk.load_source("digits", "train"), 64, seed=0, first_step=0, num_steps=1,
        ...     cutter=sk.CropCutter(augmenter, seed=0),
        ... )
        >>> [tuple(crops.shape) for crops in batches]
        [(64, 2, 6, 6, 3)]

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix A: random crop and resize.
    """

    def __init__(
        self,
        augmenter: SimCLRAugmenter,
        seed: int,
        reduced_scales: bool = True,
        views: int | None = None,
    ):
        self._policy = augmenter.policy
        self._seed = seed
        self._reduced_scales = reduced_scales
        self._views = range(views or augmenter.views)

    @classmethod
    def suited_to(
        cls,
        source: ImageSource,
        augmenter: SimCLRAugmenter,
        seed: int,
        views: int | None = None,
    ) -> "CropCutter":
        """A cutter with `reduced_scales` if JPEGs are typically at least twice as large as views."""
        is_large = (source.typical_side() or 0) >= 2 * augmenter.policy.image_size
        return cls(augmenter, seed, reduced_scales=is_large, views=views)

    def draw(self, step: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Draws crop candidates from the step and positions, for a whole batch at once.

        Args:
            step: int64 scalar.
            positions: int64 `(N,)`, positions in the global batch.

        Returns:
            float64 `(N, V, 22)`: candidates (see `crops.crop_candidates`) of each view.
        """
        seed = tf.stack([tf.constant(self._seed, tf.int64), step])
        return tf.stack(
            [
                draw_crops(seed, positions, view=view, policy=self._policy)
                for view in self._views
            ],
            axis=1,
        )

    def cut(self, image: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        """Cuts the crops of one image of any size.

        The image is decoded once, at a smaller scale if `reduced_scales` allows it.

        Args:
            image: The encoded file, a string scalar, or uint8 or floating `(H, W, C)`.
            candidates: float64 `(V, 22)`, a row of `draw`.

        Returns:
            uint8 `(V, S, S, C)`.
        """

        def boxes(sides, candidates=candidates):
            return crops.crop_boxes(candidates, sides[0], sides[1], self._policy.crop_aspect)

        size, interpolation = self._policy.image_size, self._policy.interpolation
        if image.dtype == tf.string and self._reduced_scales:
            pixels, cut = _decode_reduced(image, candidates, boxes, size)
        else:
            pixels = decode_in_pipeline(image) if image.dtype == tf.string else image
            if pixels.dtype != tf.uint8:
                pixels = tf.cast(tf.round(to_unit_range(pixels) * 255.0), tf.uint8)
            cut = boxes(tf.shape(pixels))
        return tf.stack(
            [_resized(pixels, cut[view], size, interpolation) for view in self._views]
        )


def single_view_augmenter(
    image_size: int, flip: bool, crop_area: tuple[float, float] = (0.08, 1.0)
) -> SimCLRAugmenter:
    """The augmentation of supervised training: crop and flip.

    Args:
        image_size: Height and width of the view.
        flip: Flip half of the images horizontally.
        crop_area: Minimum and maximum share of the image that a crop covers.
    """
    return SimCLRAugmenter(
        image_size,
        color_jitter_strength=0.0,
        grayscale_probability=0.0,
        blur=False,
        flip=flip,
        crop_area=crop_area,
    )


def single_view_batches(
    source: ImageSource,
    augmenter: SimCLRAugmenter,
    batch_size: int,
    seed: int,
    first_step: int,
    num_steps: int,
    **rows,
) -> tf.data.Dataset:
    """Supervised batches: (images, labels) of each step, for `SimCLRAugmenter.one_view`.

    Crops of images of many shapes are cut from their full resolution.
    """
    cutter = None
    if source.image_shape is None:
        cutter = CropCutter.suited_to(source, augmenter, seed, views=1)
    return pretraining_dataset(
        source,
        batch_size,
        seed=seed,
        first_step=first_step,
        num_steps=num_steps,
        cutter=cutter,
        with_labels=True,
        **rows,
    )


def _decode_reduced(image_bytes, candidates, boxes, size):
    """Decodes an image; returns it and its boxes in pixels of the scale it was decoded at."""
    sides = jpeg_sides(image_bytes)
    cut = boxes(sides)
    which = choose_reduction(tf.cast(tf.reduce_min(cut[:, 2:]), tf.int32), size)

    def jpeg(reduction):
        image = tf.io.decode_jpeg(image_bytes, channels=3, ratio=reduction)
        return image, cut / reduction

    def other():
        def decode(content, candidates):  # in Python: ops here would slow down every JPEG
            image = decode_in_pipeline(content)
            return image, boxes(tf.shape(image), candidates)

        inputs = [image_bytes, candidates]
        image, cut = call_python(decode, inputs, [tf.uint8, tf.float32])
        return tf.ensure_shape(image, [None, None, 3]), tf.ensure_shape(
            cut, [candidates.shape[0], 4]
        )

    return tf.switch_case(
        tf.where(is_fitting_jpeg(image_bytes, sides), which, len(REDUCTIONS)),
        [*(lambda r=r: jpeg(r) for r in REDUCTIONS), other],
    )


def _resized(image, box, size, interpolation):
    """Does what antialiased `tf.image.resize` does: `(H, W, C), (4,) -> uint8 (S, S, C)`.

    Boxes are whole pixels of the file, but may be fractional after decoding at a reduced scale.
    """
    corner, extent = box[:2], box[2:]
    first = tf.floor(corner)
    last = tf.minimum(tf.math.ceil(corner + extent), tf.cast(tf.shape(image)[:2], tf.float32))
    (top, left), (bottom, right) = (tf.unstack(tf.cast(x, tf.int32)) for x in (first, last))
    part = image[None, top:bottom, left:right]
    scale = size / extent

    def reduced():
        return tf.raw_ops.ScaleAndTranslate(
            images=part,
            size=[size, size],
            scale=scale,
            translation=(first - corner) * scale,
            kernel_type=_KERNELS[interpolation],
            antialias=True,
        )

    def enlarged():
        return tf.raw_ops.ResizeBilinear(
            images=tf.cast(part, tf.float32), size=[size, size], half_pixel_centers=True
        )

    if interpolation == "bilinear":
        # Enlarging needs no antialiasing, and this op takes a third of the time. Such a box
        # has whole pixels, because no crop is decoded smaller than its view.
        square = tf.cond(tf.reduce_max(extent) < size, enlarged, reduced)
    else:
        square = reduced()
    if interpolation == "bicubic":
        square = tf.clip_by_value(square, 0.0, 255.0)  # its weights overshoot
    square = tf.cast(square[0] + 0.5, tf.uint8)
    return tf.ensure_shape(square, [size, size, image.shape[2]])
