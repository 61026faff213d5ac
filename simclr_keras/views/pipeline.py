"""`ViewPipeline`: turns images and drawn parameters into views, in the paper's order."""

import functools
import math

import tensorflow as tf

from .blur import blur_radius, gaussian_blur
from .colors import color_jitter, grayscale, jitter_step, solarize
from .crops import crop_columns, crop_rows, to_images, to_planes
from .parameters import ViewParameters, ViewPolicy, draw_parameters
from .turns import flip_vertically, turn

# Bytes of each float32 view of a tile, to fit in a core's L2 cache (1 MiB on today's servers,
# 2 MiB on desktops): 53 images of 32 pixels. A larger image gets its own tile.
_TILE_BYTES = 640 * 1024


class ViewPipeline:
    """Makes the views of one policy, and owns the stages that are compiled for it.

    With `tile_bytes`, a batch is processed in tiles that fit in a core's cache, each through
    stages that XLA compiles separately. Run operation by operation, a batch would go through
    main memory dozens of times. Compiled as a whole, XLA would recompute a crop's rows for each
    of its columns and each jitter step for each channel of the next, and blur with strides.

    Args:
        policy: The distributions that parameters are drawn from.
        tile_bytes: Size of a tile's view. By default the whole batch is processed at once and
            no stage is compiled separately.
    """

    def __init__(self, policy: ViewPolicy, tile_bytes: int | None = None):
        self._policy, self._tile_bytes = policy, tile_bytes
        resampling = {"size": policy.image_size, "interpolation": policy.interpolation}
        self._crop_rows = self._stage(crop_rows, **resampling)
        self._crop_columns = self._stage(crop_columns, **resampling)
        self._flip = self._stage(to_planes)
        self._flip_vertically = self._stage(flip_vertically)
        self._turn = self._stage(turn)
        self._jitter_step = self._stage(
            jitter_step, additive_brightness=policy.additive_brightness
        )
        self._gray_where = self._stage(_gray_where)
        self._blur = self._stage(gaussian_blur)
        self._solarize = self._stage(solarize)
        self._to_images = self._stage(to_images)
        # As tf.functions, so that eager callers get the speed of a graph too.
        self._draw = tf.function(self._draw_views, reduce_retracing=True, autograph=False)
        make = self._views if tile_bytes is None else self._views_in_tiles
        self._make = tf.function(make, autograph=False)

    def draw(
        self,
        seed: tf.Tensor,
        positions: tf.Tensor,
        sides: tuple[tf.Tensor, tf.Tensor] | None,
        views: int = 2,
    ) -> tuple[ViewParameters, ...]:
        """Draws the parameters of the first views.

        Args:
            seed: int64 `(2,)`: run seed and step.
            positions: int64 `(N,)`: positions in the global batch.
            sides: Height and width of the images in pixels; `None` if already cropped.
            views: How many.
        """
        if sides is not None:  # as tensors: each new Python number would trace a new graph
            sides = tuple(tf.convert_to_tensor(side, tf.int32) for side in sides)
        return self._draw(seed, positions, sides, views)

    def make(
        self, images: tf.Tensor, drawn: tuple[ViewParameters, ...]
    ) -> tuple[tf.Tensor, ...]:
        """Makes one view for each element of `drawn`, as a pure function of the arguments.

        Args:
            images: uint8 in 0-255 or float32 in 0-1: `(N, H, W, C)`, or `(N, V, S, S, C)` if
                already cropped.
            drawn: What `draw` returns.

        Returns:
            float32 `(N, S, S, C)` in [0, 1] for each view.
        """
        return self._make(images, drawn)

    def _stage(self, function, **settings):
        function = functools.partial(function, **settings)
        if self._tile_bytes is None:
            return function
        return tf.function(function, jit_compile=True, autograph=False)

    def _draw_views(self, seed, positions, sides, views):
        return tuple(
            draw_parameters(seed, positions, sides, view=view, policy=self._policy)
            for view in range(views)
        )

    def _views_in_tiles(self, images, drawn):
        channels, size = images.shape[-1], self._policy.image_size
        view_shape = [images.shape[0], size, size, channels]
        rows = max(1, self._tile_bytes // (4 * size**2 * channels))
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
            lambda tile: self._views(*tile),
            tf.nest.map_structure(split, (images, drawn)),
            fn_output_signature=(tile,) * len(drawn),
        )
        return tuple(join(view) for view in views)

    def _views(self, images, drawn):
        return tuple(
            self._to_images(
                self._recolored(
                    self._turned(self._cropped(images, view, parameters), parameters),
                    parameters,
                )
            )
            for view, parameters in enumerate(drawn)
        )

    def _cropped(self, images, view: int, parameters: ViewParameters):
        """Cropped and flipped images, as planes."""
        if images.shape.rank == 5:
            return self._flip(images[:, view], parameters.flip)
        rows = self._crop_rows(images, parameters.boxes)
        return self._crop_columns(rows, parameters.boxes, parameters.flip)

    def _turned(self, planes, parameters: ViewParameters):
        if self._policy.vertical_flip_probability:
            planes = self._flip_vertically(planes, parameters.vertical_flip)
        if self._policy.quarter_turns:
            planes = self._turn(planes, parameters.quarter_turns)
        return planes

    def _recolored(self, planes, parameters: ViewParameters):
        """Jitter, grayscale, blur and solarization, each only if an image of the tile needs it."""

        def jitter():
            return color_jitter(
                planes,
                parameters.brightness,
                parameters.contrast,
                parameters.saturation,
                parameters.hue,
                parameters.order,
                step=self._jitter_step,
            )

        def some(which, changed):
            return tf.cond(tf.reduce_any(which), changed, lambda: planes)

        policy, is_gray, sigma = self._policy, parameters.grayscale, parameters.sigma
        if policy.jitters:
            planes = some(parameters.jitter, jitter)
        if planes.shape[1] == 3 and policy.grayscale_probability:
            planes = some(is_gray, lambda: self._gray_where(planes, is_gray))
        if policy.blur_probability and blur_radius(policy.image_size):
            planes = some(sigma > 0, lambda: self._blur(planes, sigma))
        if policy.solarize_probability:  # after the blur, as in BYOL
            which = parameters.solarize
            planes = some(which, lambda: self._solarize(planes, which))
        return planes


@functools.lru_cache(maxsize=64)
def _shared(policy: ViewPolicy, tile_bytes: int | None) -> ViewPipeline:
    return ViewPipeline(policy, tile_bytes)


def pipeline_of(policy: ViewPolicy) -> ViewPipeline:
    """The pipeline of a policy for the available devices; equal policies share one."""
    devices = tf.config.list_logical_devices
    return _shared(policy, None if devices("GPU") or devices("TPU") else _TILE_BYTES)


def _gray_where(planes, is_gray):
    return tf.where(is_gray[:, None, None, None], grayscale(planes), planes)
