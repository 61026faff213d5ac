"""`SimCLRAugmenter`: the paper's augmentation policy as a Keras layer."""

import logging
from typing import NamedTuple

import keras
import tensorflow as tf

from ..data.images import to_unit_range
from . import augmentations
from .uniforms import uniforms

# Appendix A of the paper: jitter (0.8, 0.8, 0.8, 0.2) * s for brightness, contrast,
# saturation and hue.
_JITTER = (0.8, 0.8, 0.8, 0.2)


class ViewParameters(NamedTuple):
    """What one view of each image is made with; every field is `(N,)` but `uniforms`."""

    crop_uniforms: tf.Tensor  # (N, 22)
    flip: tf.Tensor  # bool
    jitter: tf.Tensor  # bool
    brightness: tf.Tensor  # factor
    contrast: tf.Tensor  # factor
    saturation: tf.Tensor  # factor
    hue: tf.Tensor  # turns
    order: tf.Tensor  # index into JITTER_ORDERS
    grayscale: tf.Tensor  # bool
    sigma: tf.Tensor  # pixels; 0: no blur


@keras.saving.register_keras_serializable(package="simclr_keras")
class SimCLRAugmenter(keras.layers.Layer):
    """Two random views of each image: crop, flip, colour jitter, grayscale, blur.

    The stochastic augmentation module of SimCLR (Section 2.1 and Appendix A), in its order,
    with every parameter drawn per image. All draws are a function of (run seed, step, place in
    the global batch, view): the same on one replica or many, eager, traced or compiled.

    Args:
        image_size: Side of the views in pixels.
        color_jitter_strength: The paper's s: brightness, contrast and saturation factors are
            uniform in 1 +- 0.8 s (never below 0), hue shifts in +- 0.2 s turns. 1.0 for
            ImageNet, 0.5 for CIFAR-10 (Appendix B.9). 0 switches the jitter off.
        blur: Gaussian blur, sigma uniform in [0.1, 2] pixels, kernel a tenth of the side. The
            paper leaves it out for CIFAR-10; below 20 pixels the kernel is a single pixel.
        flip: Mirror left and right with probability 0.5. Off for text, digits, maps.
        crop_area: Least and greatest share of the image that a crop covers.
        color_jitter_probability: Share of views that are jittered.
        grayscale_probability: Share of views without colour.
        blur_probability: Share of views that are blurred.
        extra_layers: Keras or KerasCV layers that are called on each view, after all else,
            with `training=True`. Their draws are their own, not a function of the seed.

    Call arguments:
        images: `(N, H, W, C)` or one image `(H, W, C)`; uint8 in 0-255 or floating in 0-1.
            `(N, 2, S, S, C)` holds two crops per image that were already cut.
        seed: (run seed, step): two integers, scalar tensors, a mix, or a `(2,)` tensor.
            Without it every call draws anew.
        first_position: Place of `images[0]` in the global batch. Defaults to 0.

    Returns:
        `(view_1, view_2)`, each float32 `(N, image_size, image_size, C)` in [0, 1].

    Raises:
        ValueError: If a size, strength, probability or area is outside its range.

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
        Representations", https://arxiv.org/abs/2002.05709, Appendix A.
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
        **kwargs,
    ):
        # float32 under any policy: float16 would quantise colours and crop coordinates.
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        if image_size < 1:
            raise ValueError(
                f"`image_size` must be at least 1 pixel. Received: image_size={image_size}"
            )
        if color_jitter_strength < 0:
            raise ValueError(
                "`color_jitter_strength` must be 0 or more. Received: "
                f"color_jitter_strength={color_jitter_strength}"
            )
        if not 0 < crop_area[0] <= crop_area[1] <= 1:
            raise ValueError(
                "`crop_area` must be (least, greatest) with 0 < least <= greatest <= 1. "
                f"Received: crop_area={crop_area}"
            )
        probabilities = {
            "color_jitter_probability": color_jitter_probability,
            "grayscale_probability": grayscale_probability,
            "blur_probability": blur_probability,
        }
        for name, value in probabilities.items():
            if not 0 <= value <= 1:
                raise ValueError(f"`{name}` must be in [0, 1]. Received: {name}={value}")
        self.image_size = image_size
        self.color_jitter_strength = color_jitter_strength
        self.blur = blur
        self.flip = flip
        self.crop_area = tuple(crop_area)
        self.color_jitter_probability = color_jitter_probability
        self.grayscale_probability = grayscale_probability
        self.blur_probability = blur_probability
        self.extra_layers = list(extra_layers)
        self._warned = False

    def build(self, input_shape=None):
        self.built = True

    def __call__(self, images, seed=None, first_position=0):
        # Keras 3 refuses an argument that mixes tensors and numbers.
        return super().__call__(
            images, seed=_as_seed(seed), first_position=tf.cast(first_position, tf.int64)
        )

    def call(self, images, seed=None, first_position=0):
        images = tf.convert_to_tensor(images)
        if images.shape.rank == 3:
            views = self.call(images[None], seed, first_position)
            return tuple(tf.squeeze(view, 0) for view in views)
        self._warn_about_channels(images.shape[-1])
        images = to_unit_range(images)
        positions = first_position + tf.range(tf.shape(images)[0], dtype=tf.int64)
        return tuple(
            self._view(images, self.draw(seed, positions, view), view) for view in (0, 1)
        )

    def draw(self, seed: tf.Tensor, positions: tf.Tensor, view: int) -> ViewParameters:
        """The parameters of one view of each image.

        Args:
            seed: int64 `(2,)`: run seed and step.
            positions: int64 `(N,)`: places in the global batch.
            view: 0 for `view_1`, 1 for `view_2`.

        Returns:
            `ViewParameters` with N rows.
        """
        crops = augmentations.CROP_UNIFORMS
        rows = uniforms(_as_seed(seed), positions, view, crops + 10)
        u = tf.unstack(rows[:, crops:], num=10, axis=1)
        strength = self.color_jitter_strength
        low = [max(0.0, 1.0 - limit * strength) for limit in _JITTER[:3]]
        high = [1.0 + limit * strength for limit in _JITTER[:3]]
        factors = [a + x * (b - a) for a, b, x in zip(low, high, u[2:5])]
        blurred = (u[8] < self.blur_probability) if self.blur else tf.zeros_like(u[8], bool)
        return ViewParameters(
            crop_uniforms=rows[:, :crops],
            flip=(u[0] < 0.5) & self.flip,
            jitter=u[1] < (self.color_jitter_probability if strength else 0.0),
            brightness=factors[0],
            contrast=factors[1],
            saturation=factors[2],
            hue=(2.0 * u[5] - 1.0) * _JITTER[3] * strength,
            order=tf.cast(u[6] * len(augmentations.JITTER_ORDERS), tf.int32),
            grayscale=u[7] < self.grayscale_probability,
            sigma=tf.where(blurred, 0.1 + u[9] * 1.9, 0.0),
        )

    def cut_crops(self, image: tf.Tensor, step: tf.Tensor, position: tf.Tensor, seed: int):
        """The crops of both views of one image of any size, for use while decoding.

        Draws what the layer would draw for the same (seed, step, position), so that calling
        the layer on the `(N, 2, S, S, C)` batch continues with colour and blur.

        Args:
            image: uint8 or floating `(H, W, C)`.
            step: int64 scalar.
            position: int64 scalar, the image's place in the global batch.
            seed: The run's seed.

        Returns:
            uint8 `(2, image_size, image_size, C)`.
        """
        crops = []
        for view in (0, 1):
            drawn = self.draw(_as_seed((seed, step)), position[None], view)
            shape = tf.shape(image)
            boxes = augmentations.crop_boxes(
                drawn.crop_uniforms, shape[0], shape[1], self.crop_area
            )
            crops.append(
                augmentations.cut_crop(image, boxes[0], drawn.flip[0], self.image_size)
            )
        return tf.stack(crops)

    def _view(self, images, drawn: ViewParameters, view: int):
        if images.shape.rank == 5:  # (N, 2, S, S, C): cropped and flipped while decoding
            images = images[:, view]
        else:
            shape = tf.shape(images)
            boxes = augmentations.crop_boxes(
                drawn.crop_uniforms, shape[1], shape[2], self.crop_area
            )
            images = augmentations.crop_flip_resize(images, boxes, drawn.flip, self.image_size)
        images = tf.ensure_shape(images, [None, self.image_size, self.image_size, None])
        if self.color_jitter_strength:
            jittered = augmentations.color_jitter(
                images,
                drawn.brightness,
                drawn.contrast,
                drawn.saturation,
                drawn.hue,
                drawn.order,
            )
            images = tf.where(drawn.jitter[:, None, None, None], jittered, images)
        if images.shape[-1] == 3 and self.grayscale_probability:
            gray = augmentations.grayscale(images)
            images = tf.where(drawn.grayscale[:, None, None, None], gray, images)
        if self.blur:
            images = augmentations.gaussian_blur(images, drawn.sigma)
        for layer in self.extra_layers:
            images = layer(images, training=True)
        # Rounding of the products above, and whatever the extra layers did.
        return tf.clip_by_value(tf.cast(images, tf.float32), 0.0, 1.0)

    def _warn_about_channels(self, channels: int) -> None:
        if channels != 3 and not self._warned:
            self._warned = True
            logging.getLogger("simclr_keras").warning(
                "Images with %d channels have no hue, saturation or grayscale: these "
                "augmentations are left out.",
                channels,
            )

    def get_config(self):
        config = super().get_config()
        config.update(
            image_size=self.image_size,
            color_jitter_strength=self.color_jitter_strength,
            blur=self.blur,
            flip=self.flip,
            crop_area=self.crop_area,
            color_jitter_probability=self.color_jitter_probability,
            grayscale_probability=self.grayscale_probability,
            blur_probability=self.blur_probability,
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


def _as_seed(seed) -> tf.Tensor:
    """(run seed, step) in any of its forms as one int64 `(2,)` tensor."""
    if seed is None:
        return tf.random.uniform([2], maxval=tf.int64.max, dtype=tf.int64)
    if isinstance(seed, (tuple, list)):
        return tf.stack([tf.cast(part, tf.int64) for part in seed])
    return tf.cast(seed, tf.int64)
