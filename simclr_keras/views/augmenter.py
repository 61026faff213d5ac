"""`SimCLRAugmenter`: the paper's augmentation policy as a Keras layer."""

import dataclasses
import logging
import typing

import keras
import tensorflow as tf

from ..data.images import to_unit_range
from . import crops
from .parameters import ViewParameters, ViewPolicy
from .pipeline import pipeline_of
from .two_views import check_value_range

# (run seed, step), in any of the forms that `SimCLRAugmenter` takes.
Seed: typing.TypeAlias = "tuple | list | tf.Tensor | None"


@keras.saving.register_keras_serializable(package="simclr_keras")
class SimCLRAugmenter(keras.layers.Layer):
    """Two or more random views of each image: crop, flip, colour jitter, grayscale, blur.

    More for other images than photos: `vertical_flip`, `quarter_turns`, `solarize_probability`.

    The stochastic augmentation module of SimCLR (Section 2.1 and Appendix A), in its order,
    with every parameter drawn per image. All draws depend only on (run seed, step, position in
    the global batch, view): the same on one replica or many, eager, traced or compiled.

    Each image gets its own order of the four jitter operations; values are clipped to [0, 1]
    after each. The original release's code differs: its crops cover at least 10 % of the image
    (`min_object_covered` of the sampler it uses), unlike in the paper, and are resized
    bicubically without antialiasing.

    Args:
        image_size: Height and width of the views in pixels.
        color_jitter_strength: The paper's s, a factor on `color_jitter`. 1.0 for ImageNet,
            0.5 for CIFAR-10 (Appendix B.9). 0 switches the jitter off.
        blur: Gaussian blur, with a kernel a tenth of `image_size` wide. The paper omits it for
            CIFAR-10; below 20 pixels the kernel is a single pixel.
        flip: Flip horizontally with probability 0.5. Turn it off for text, digits and maps.
        crop_area: Minimum and maximum share of the image that a crop covers. (1, 1) switches
            cropping off if `crop_aspect` includes the aspect ratio of the images.
        crop_aspect: Minimum and maximum width / height of a crop, log-uniform.
        color_jitter: Limits for (brightness, contrast, saturation, hue) at strength 1: the
            first three are factors, uniform in 1 +- limit * s (never below 0); the hue shift is
            uniform in +- limit * s of the colour circle. 0 switches an operation off.
        color_jitter_probability: Share of views that are jittered.
        brightness: `"multiplicative"`, or `"additive"` as in the first version of the original
            release: an offset, uniform in +- limit * s.
        grayscale_probability: Share of views converted to grayscale.
        blur_probability: Share of views that are blurred.
        blur_sigma: Minimum and maximum sigma in pixels, uniform.
        interpolation: `"bilinear"`, or `"bicubic"` as in the original release; both
            antialiased.
        extra_layers: Keras or KerasCV layers that are called last on each view, with
            `training=True`; those with a `value_range` need (0, 1). They draw their own random
            numbers, independent of the seed.
            `SimCLR(micro_batch_size=...)` draws the views of a step twice, so there they must
            use a generator whose state can be restored, as Keras' layers do; others raise an
            error.
        value_range: Range of floating-point images; (0, 255) for those of
            `image_dataset_from_directory`. The views are in [0, 1] whatever it is.
        vertical_flip: Flip top to bottom with probability 0.5.
        quarter_turns: Turn by 0, 90, 180 or 270 degrees, each as likely: for images without an
            up, such as aerial images and micrographs. With `flip`, all eight symmetries of a
            square are as likely. Pixels are moved, not resampled.
        solarize_probability: Share of views, of both alike, whose values from 0.5 up are
            inverted, after the blur. BYOL (arXiv 2006.07733, Table 6) has 0 for one view and
            0.2 for the other.
        views: V, how many views of each image to make. The first two are the same whatever it is.

    Call arguments:
        images: `(N, H, W, C)` or one image `(H, W, C)`; uint8 in 0-255 or floating in
            `value_range`.
            `(N, V, S, S, C)` holds the crops of each image, already cut.
        seed: (run seed, step): two integers, scalar tensors, a mix, or a `(2,)` tensor.
            Without it, every call draws new views.
        first_position: Position of `images[0]` in the global batch. Defaults to 0.

    Returns:
        `(view_1, view_2, ...)`, each float32 `(N, image_size, image_size, C)` in [0, 1].

    Raises:
        ValueError: If a number of views, size, strength, probability or area is outside its range.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> augmenter = sk.SimCLRAugmenter(image_size=32, color_jitter_strength=0.5)
        >>> images = np.random.default_rng(0).random((4, 48, 40, 3), "float32")
        >>> view_1, view_2 = augmenter(images, seed=(0, 0))
        >>> tuple(view_1.shape)
        (4, 32, 32, 3)

    Reference:
        Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual
        Representations", https://arxiv.org/abs/2002.05709, Appendix A;
        https://github.com/google-research/simclr, tf2/data_util.py.
    """

    def __init__(
        self,
        image_size: int,
        color_jitter_strength: float = 1.0,
        blur: bool = True,
        flip: bool = True,
        crop_area: tuple[float, float] = (0.08, 1.0),
        color_jitter_probability: float = 0.8,
        grayscale_probability: float = 0.2,
        blur_probability: float = 0.5,
        extra_layers: tuple = (),
        crop_aspect: tuple[float, float] = (3 / 4, 4 / 3),
        color_jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2),
        brightness: str = "multiplicative",
        blur_sigma: tuple[float, float] = (0.1, 2.0),
        interpolation: str = "bilinear",
        value_range: tuple[float, float] = (0.0, 1.0),
        vertical_flip: bool = False,
        quarter_turns: bool = False,
        solarize_probability: float = 0.0,
        views: int = 2,
        **kwargs,
    ):
        # float32 under any dtype policy: float16 would quantise colours and crop coordinates.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.image_size = image_size
        self.color_jitter_strength = color_jitter_strength
        self.blur = blur
        self.flip = flip
        self.crop_area = _pair(crop_area)
        self.crop_aspect = _pair(crop_aspect)
        self.color_jitter = tuple(color_jitter)
        self.color_jitter_probability = color_jitter_probability
        self.brightness = brightness
        self.grayscale_probability = grayscale_probability
        self.blur_probability = blur_probability
        self.blur_sigma = _pair(blur_sigma)
        self.interpolation = interpolation
        self.extra_layers = list(extra_layers)
        self.value_range = _pair(value_range)
        self.vertical_flip = vertical_flip
        self.quarter_turns = quarter_turns
        self.solarize_probability = solarize_probability
        self.views = views
        self._check_arguments()
        self.policy = ViewPolicy(
            image_size=image_size,
            crop_area=self.crop_area,
            crop_aspect=self.crop_aspect,
            interpolation=interpolation,
            flip_probability=0.5 if flip else 0.0,
            jitter_limits=tuple(limit * color_jitter_strength for limit in self.color_jitter),
            jitter_probability=color_jitter_probability,
            additive_brightness=brightness == "additive",
            grayscale_probability=grayscale_probability,
            blur_probability=blur_probability if blur else 0.0,
            blur_sigma=self.blur_sigma,
            vertical_flip_probability=0.5 if vertical_flip else 0.0,
            quarter_turns=quarter_turns,
            solarize_probability=solarize_probability,
        )
        self._warned = False

    def _check_arguments(self) -> None:
        def check(fits: bool, name: str, expected: str) -> None:
            if not fits:
                raise ValueError(
                    f"`{name}` must be {expected}. Received: {name}={getattr(self, name)}"
                )

        check(self.image_size >= 1, "image_size", "at least 1 pixel")
        check(self.views >= 2, "views", "at least 2")
        check(self.color_jitter_strength >= 0, "color_jitter_strength", "0 or more")
        area, aspect, sigma = self.crop_area, self.crop_aspect, self.blur_sigma
        order = "(minimum, maximum) with 0 < minimum <= maximum"
        check(0 < area[0] <= area[1] <= 1, "crop_area", f"{order} <= 1")
        check(0 < aspect[0] <= aspect[1], "crop_aspect", order)
        check(0 < sigma[0] <= sigma[1], "blur_sigma", f"{order}, in pixels")
        limits = self.color_jitter
        check(
            len(limits) == 4 and min(limits) >= 0,
            "color_jitter",
            "four numbers of 0 or more, for brightness, contrast, saturation and hue",
        )
        for name, kinds in (
            ("brightness", ("multiplicative", "additive")),
            ("interpolation", tuple(crops.INTERPOLATIONS)),
        ):
            check(getattr(self, name) in kinds, name, f"one of {kinds}")
        for name in ("color_jitter", "grayscale", "blur", "solarize"):
            name += "_probability"
            check(0 <= getattr(self, name) <= 1, name, "in [0, 1]")
        low, high = self.value_range
        check(low < high, "value_range", "(minimum, maximum) with minimum < maximum")
        for layer in self.extra_layers:
            check_value_range(layer)

    def build(self, input_shape: tuple | None = None) -> None:
        self.built = True

    def __call__(self, images, seed=None, first_position=0, **options):
        # Keras 3 refuses an argument that mixes tensors and numbers. Without a seed, `call` draws
        # one: drawn here, it would be a constant of a functional model.
        seed = None if seed is None else _as_seed(seed)
        first_position = tf.cast(first_position, tf.int64)
        return super().__call__(images, seed=seed, first_position=first_position, **options)

    def compute_output_shape(self, input_shape: tuple) -> tuple[tuple, ...]:
        images = () if len(input_shape) == 3 else tuple(input_shape[:1])
        return ((*images, self.image_size, self.image_size, input_shape[-1]),) * self.views

    def call(
        self, images: tf.Tensor, seed: Seed = None, first_position: int | tf.Tensor = 0
    ) -> tuple[tf.Tensor, ...]:
        return self._views(images, seed, first_position, self.views)

    def resize(self, image_size: int) -> None:
        """Makes views of another size from now on; what was traced before keeps the old one.

        Args:
            image_size: Height and width in pixels.
        """
        self.image_size = image_size
        self._check_arguments()
        self.policy = dataclasses.replace(self.policy, image_size=image_size)

    def one_view(
        self, images: tf.Tensor, seed: Seed = None, first_position: int | tf.Tensor = 0
    ) -> tf.Tensor:
        """`view_1` alone, at half the cost, for supervised training.

        Args:
            images: As when the layer is called.
            seed: As when the layer is called.
            first_position: As when the layer is called.

        Returns:
            float32 `(N, image_size, image_size, C)` in [0, 1].
        """
        return self._views(images, seed, first_position, 1)[0]

    def _views(self, images, seed, first_position, count: int) -> tuple:
        images = tf.convert_to_tensor(images)
        if images.shape.rank == 3:
            views = self._views(images[None], seed, first_position, count)
            return tuple(tf.squeeze(view, 0) for view in views)
        if images.shape.rank == 5 and (images.shape[1] or count) < count:
            raise ValueError(
                f"The images must have a crop for each of {count} views. Received: "
                f"images.shape={images.shape}"
            )
        self._warn_about_channels(images.shape[-1])
        if images.dtype != tf.uint8:
            images = to_unit_range(images, self.value_range)
        shape = tf.shape(images)
        positions = first_position + tf.range(shape[0], dtype=tf.int64)
        sides = None if images.shape.rank == 5 else (shape[1], shape[2])
        pipeline = pipeline_of(self.policy)
        views = pipeline.make(images, pipeline.draw(_as_seed(seed), positions, sides, count))
        if not self.extra_layers:
            return views
        return tuple(self._with_extra_layers(view) for view in views)

    def draw(
        self, seed: Seed, positions: tf.Tensor, height: tf.Tensor, width: tf.Tensor
    ) -> tuple[ViewParameters, ...]:
        """Draws the parameters of all views of each image.

        Args:
            seed: (run seed, step), as when the layer is called.
            positions: int64 `(N,)`: positions in the global batch.
            height: Image height in pixels.
            width: Image width in pixels.

        Returns:
            `ViewParameters` of each view, N rows each.
        """
        pipeline = pipeline_of(self.policy)
        return pipeline.draw(_as_seed(seed), positions, (height, width), self.views)

    def _with_extra_layers(self, view: tf.Tensor) -> tf.Tensor:
        for layer in self.extra_layers:
            view = layer(view, training=True)
        # KerasCV layers return half precision under a half-precision policy.
        return tf.clip_by_value(tf.cast(view, tf.float32), 0.0, 1.0)

    def _warn_about_channels(self, channels: int) -> None:
        if channels != 3 and self.policy.needs_colors and not self._warned:
            self._warned = True
            logging.getLogger("simclr_keras").warning(
                "Images with %d channels have no hue, saturation or grayscale: these "
                "augmentations are skipped.",
                channels,
            )

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            image_size=self.image_size,
            color_jitter_strength=self.color_jitter_strength,
            blur=self.blur,
            flip=self.flip,
            crop_area=self.crop_area,
            crop_aspect=self.crop_aspect,
            color_jitter=self.color_jitter,
            color_jitter_probability=self.color_jitter_probability,
            brightness=self.brightness,
            grayscale_probability=self.grayscale_probability,
            blur_probability=self.blur_probability,
            blur_sigma=self.blur_sigma,
            interpolation=self.interpolation,
            value_range=self.value_range,
            vertical_flip=self.vertical_flip,
            quarter_turns=self.quarter_turns,
            solarize_probability=self.solarize_probability,
            views=self.views,
            extra_layers=[
                keras.saving.serialize_keras_object(layer) for layer in self.extra_layers
            ],
        )
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["extra_layers"] = [
            layer
            if isinstance(layer, keras.layers.Layer)
            else keras.saving.deserialize_keras_object(layer)
            for layer in config["extra_layers"]
        ]
        return cls(**config)


def _pair(values) -> tuple[float, float]:
    """Two numbers as a tuple; saved models have lists."""
    low, high = values
    return low, high


def _as_seed(seed) -> tf.Tensor:
    """Converts (run seed, step) in any of its forms to one int64 `(2,)` tensor."""
    if seed is None:
        return tf.random.uniform([2], maxval=tf.int64.max, dtype=tf.int64)
    if isinstance(seed, (tuple, list)):
        return tf.stack([tf.cast(part, tf.int64) for part in seed])
    return tf.cast(seed, tf.int64)
