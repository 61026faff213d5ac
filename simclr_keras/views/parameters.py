"""The parameters of each view: turns uniform numbers into boxes, factors and switches."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from . import crops
from .colors import JITTER_ORDERS
from .uniforms import uniforms

# The numbers of a view: those of its crop, then these. A new operation draws from the end, so that
# the draws of the others stay as they were.
_OTHERS = 13


@dataclasses.dataclass(frozen=True)
class ViewPolicy:
    """The distributions that parameters are drawn from; see `SimCLRAugmenter`."""

    image_size: int
    crop_area: tuple[float, float]
    crop_aspect: tuple[float, float]
    interpolation: str
    flip_probability: float
    jitter_limits: tuple[float, ...]  # of brightness, contrast, saturation, hue
    jitter_probability: float
    additive_brightness: bool
    grayscale_probability: float
    blur_probability: float
    blur_sigma: tuple[float, float]
    vertical_flip_probability: float
    quarter_turns: bool
    solarize_probability: float

    @property
    def jitters(self) -> bool:
        """Whether any jitter operation can change an image."""
        return self.jitter_probability > 0 and max(self.jitter_limits) > 0

    @property
    def needs_colors(self) -> bool:
        """Whether an operation needs images of three channels."""
        jitters_colors = self.jitters and max(self.jitter_limits[2:]) > 0
        return jitters_colors or self.grayscale_probability > 0


class ViewParameters(NamedTuple):
    """The parameters of one view of each image."""

    boxes: tf.Tensor | tuple  # (N, 4) top, left, height, width in pixels; () if already cropped
    flip: tf.Tensor  # (N,) bool
    jitter: tf.Tensor  # (N,) bool; where False the four factors change nothing
    brightness: tf.Tensor  # (N,) factor
    contrast: tf.Tensor  # (N,) factor
    saturation: tf.Tensor  # (N,) factor
    hue: tf.Tensor  # (N,) turns
    order: tf.Tensor  # (N,) index into JITTER_ORDERS
    grayscale: tf.Tensor  # (N,) bool
    sigma: tf.Tensor  # (N,) pixels; 0: no blur
    vertical_flip: tf.Tensor  # (N,) bool
    quarter_turns: tf.Tensor  # (N,) 0 to 3, counterclockwise
    solarize: tf.Tensor  # (N,) bool


def draw_parameters(
    seed: tf.Tensor,
    positions: tf.Tensor,
    sides: tuple[tf.Tensor, tf.Tensor] | None,
    *,
    view: int,
    policy: ViewPolicy,
) -> ViewParameters:
    """Draws the parameters of one view of each image, as a pure function of the arguments.

    Args:
        seed: int64 `(2,)`: run seed and step.
        positions: int64 `(N,)`: positions in the global batch.
        sides: Height and width of the images in pixels; `None` if they are already cropped, in
            which case no box is drawn.
        view: 0 for `view_1`, 1 for `view_2`.
        policy: The distributions to draw from.

    Returns:
        `ViewParameters` with N rows.
    """
    # The numbers of `draw_crops` come first; they are left out where no box is drawn.
    first = crops.UNIFORMS if sides is None else 0
    numbers = uniforms(seed, positions, view, crops.UNIFORMS + _OTHERS - first, first=first)
    u = tf.unstack(numbers[:, -_OTHERS:], num=_OTHERS, axis=1)
    jitter = u[1] < (policy.jitter_probability if policy.jitters else 0.0)
    factors = []
    for number, limit, least in zip(
        u[2:5],
        policy.jitter_limits,
        # A factor is never negative; an added brightness may be.
        (1.0 - policy.jitter_limits[0] if policy.additive_brightness else 0.0, 0.0, 0.0),
    ):
        low = max(least, 1.0 - limit)
        factors.append(tf.where(jitter, low + number * (1.0 + limit - low), 1.0))
    low, high = policy.blur_sigma
    boxes = ()
    if sides is not None:
        candidates = crops.crop_candidates(
            numbers[:, : crops.UNIFORMS], policy.crop_area, policy.crop_aspect
        )
        boxes = crops.crop_boxes(candidates, *sides, policy.crop_aspect)
    return ViewParameters(
        boxes=boxes,
        flip=u[0] < policy.flip_probability,
        jitter=jitter,
        brightness=factors[0],
        contrast=factors[1],
        saturation=factors[2],
        hue=tf.where(jitter, (2.0 * u[5] - 1.0) * policy.jitter_limits[3], 0.0),
        order=tf.cast(u[6] * len(JITTER_ORDERS), tf.int32),
        grayscale=u[7] < policy.grayscale_probability,
        sigma=tf.where(u[8] < policy.blur_probability, low + u[9] * (high - low), 0.0),
        vertical_flip=u[10] < policy.vertical_flip_probability,
        quarter_turns=tf.cast(u[11] * (4.0 if policy.quarter_turns else 0.0), tf.int32),
        solarize=u[12] < policy.solarize_probability,
    )


def draw_crops(
    seed: tf.Tensor, positions: tf.Tensor, *, view: int, policy: ViewPolicy
) -> tf.Tensor:
    """Crop candidates of one view, for images of any size: float64 `(N, 22)`.

    Arguments as for `draw_parameters`; see `crops.crop_candidates`.
    """
    numbers = uniforms(seed, positions, view, crops.UNIFORMS)
    return crops.crop_candidates(numbers, policy.crop_area, policy.crop_aspect)
