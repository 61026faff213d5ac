"""Images and parameters to views: the operations in the paper's order, in tiles.

On a CPU the batch is walked in tiles that fit in a core's cache, each through a few stages that
XLA compiles whatever surrounds them: operation by operation, a batch would go through main
memory dozens of times. On other devices the same functions see the whole batch at once.
"""

import functools
import math

import tensorflow as tf

from .blur import blur_radius, gaussian_blur
from .colors import color_jitter, grayscale, jitter_step
from .crops import crop_columns, crop_rows, to_images, to_planes
from .parameters import ViewParameters, ViewPolicy, draw_parameters

# What one float32 view may take of a core's second-level cache (1 MiB on today's servers,
# 2 MiB on desktops): 53 images of 32 pixels. Larger images than that make a tile of their own.
_TILE_BYTES = 640 * 1024


def draw_both(
    seed: tf.Tensor,
    positions: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    policy: ViewPolicy,
) -> tuple[ViewParameters, ViewParameters]:
    """`draw_parameters` for `view_1` and `view_2`."""
    # As tensors: a graph for each number would be traced anew.
    return _draw(policy)(
        seed, positions, *(tf.convert_to_tensor(x, tf.int32) for x in (height, width))
    )


def make_views(
    images: tf.Tensor, drawn: tuple[ViewParameters, ...], policy: ViewPolicy
) -> tuple[tf.Tensor, ...]:
    """Both views of each image, or the first alone, a function of its arguments alone.

    Args:
        images: uint8 in 0-255 or float32 in 0-1: `(N, H, W, C)`, or `(N, 2, S, S, C)` that
            were cropped already.
        drawn: The parameters of each view that is wanted, `view_1` first.
        policy: What they were drawn from.

    Returns:
        `(view_1, view_2)` or `(view_1,)`, float32 `(N, S, S, C)` in [0, 1].
    """
    return _walk(policy)(images, drawn)


# Functions of their own, so that eager callers get the speed of a graph too.
@functools.lru_cache(maxsize=64)
def _draw(policy: ViewPolicy):
    def both(*arguments):
        return tuple(draw_parameters(*arguments, view=view, policy=policy) for view in (0, 1))

    return tf.function(both, reduce_retracing=True, autograph=False)


@functools.lru_cache(maxsize=64)
def _walk(policy: ViewPolicy):
    return tf.function(functools.partial(_in_tiles, policy=policy), autograph=False)


def _in_tiles(images, drawn, policy):
    if not _on_cpu():
        return _both(images, drawn, policy)
    channels = images.shape[-1]
    view_shape = [images.shape[0], policy.image_size, policy.image_size, channels]
    rows = max(1, _TILE_BYTES // (4 * policy.image_size**2 * channels))
    if images.shape[0] is not None:
        rows = min(rows, math.ceil(images.shape[0] / 2))  # a tile for each of two cores
    count = tf.shape(images)[0]

    def split(tensor):
        padding = [[0, -count % rows], *[[0, 0]] * (tensor.shape.rank - 1)]
        tensor = tf.pad(tensor, padding)
        return tf.reshape(tensor, tf.concat([[-1, rows], tf.shape(tensor)[1:]], 0))

    def join(tensor):
        whole = tf.reshape(tensor, tf.concat([[-1], tf.shape(tensor)[2:]], 0))[:count]
        return tf.ensure_shape(whole, view_shape)

    tile = tf.TensorSpec([rows, *view_shape[1:]], tf.float32)
    views = tf.map_fn(
        lambda tile: _both(*tile, policy),
        tf.nest.map_structure(split, (images, drawn)),
        fn_output_signature=(tile,) * len(drawn),
    )
    return tuple(join(view) for view in views)


def _both(images, drawn, policy):
    views = []
    for view, parameters in enumerate(drawn):
        if images.shape.rank == 5:  # (N, 2, S, S, C), cropped already
            planes = _stage(to_planes)(images[:, view], parameters.flip)
        else:
            size = {"size": policy.image_size, "interpolation": policy.interpolation}
            planes = _stage(crop_rows, **size)(images, parameters.boxes)
            planes = _stage(crop_columns, **size)(planes, parameters.boxes, parameters.flip)
        views.append(_recolored(planes, parameters, policy))
    return tuple(views)


def _recolored(planes, parameters: ViewParameters, policy: ViewPolicy):
    """What follows the crop: jitter, grayscale and blur, each where a tile has any of it."""

    def jitter():
        return color_jitter(
            planes,
            parameters.brightness,
            parameters.contrast,
            parameters.saturation,
            parameters.hue,
            parameters.order,
            step=_stage(jitter_step, additive_brightness=policy.additive_brightness),
        )

    def some(which, changed, unchanged):
        return tf.cond(tf.reduce_any(which), changed, unchanged)

    if policy.jitters:
        planes = some(parameters.jitter, jitter, lambda: planes)
    if planes.shape[1] == 3 and policy.grayscale_probability:
        is_gray = parameters.grayscale
        planes = some(is_gray, lambda: _stage(_gray_where)(planes, is_gray), lambda: planes)
    if policy.blur_probability and blur_radius(policy.image_size):
        sigma = parameters.sigma
        planes = some(sigma > 0, lambda: _stage(gaussian_blur)(planes, sigma), lambda: planes)
    return _stage(to_images)(planes)


def _gray_where(planes, is_gray):
    return tf.where(is_gray[:, None, None, None], grayscale(planes), planes)


@functools.lru_cache(maxsize=256)
def _stage(function, **settings):
    """A function of tensors, compiled on its own where that is faster.

    Compiled as a whole, XLA would compute a crop's rows anew for each of its columns, each
    step of the jitter anew for each channel of the next, and the blur with strides.
    """
    function = functools.partial(function, **settings)
    if not _on_cpu():
        return function
    return tf.function(function, jit_compile=True, autograph=False)


def _on_cpu() -> bool:
    return not (tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))


def clear_caches() -> None:
    """Forgets what was traced and compiled, such as after devices have changed."""
    for cached in (_draw, _walk, _stage):
        cached.cache_clear()
