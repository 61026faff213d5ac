"""`as_augmenter`: any Keras layer or function that changes images, as an augmenter."""

import inspect
import typing
from collections.abc import Callable

import keras
import tensorflow as tf

from ..data.images import to_unit_range

# Operations without clipping, such as a change of contrast, leave [0, 1] by less than this; a layer
# for images in 0-255 leaves it by far more.
_OVERSHOOT = 1.0


def as_augmenter(augmenter: keras.layers.Layer | Callable) -> keras.layers.Layer:
    """The augmenter itself, or `TwoViews` of a layer or function that makes one view.

    Args:
        augmenter: A layer with `call(images, seed=None, first_position=0)`, which returns two
            views, such as `SimCLRAugmenter`; or what `TwoViews` takes.

    Raises:
        ValueError: If it is neither, or one of its layers expects other values than those in [0, 1].
    """
    if isinstance(augmenter, keras.layers.Layer):
        takes = inspect.signature(augmenter.call).parameters
        if {"seed", "first_position"} <= takes.keys():
            return augmenter
    return TwoViews(augmenter)


@keras.saving.register_keras_serializable(package="simclr_keras")
class TwoViews(keras.layers.Layer):
    """Calls augmentation layers, or a function, twice on every image.

    `SimCLR` wraps its augmenter in this layer unless it takes `seed` and `first_position`. The
    layers draw their own random numbers, so a run is not repeatable from its seed: an interrupted
    run goes on with other views than it would have had, and several replicas draw independently.

    Args:
        augmentation: A Keras layer, such as `keras.layers.Pipeline`, `keras.Sequential` or
            `RandAugment`, called with `training=True`; or a function of a batch of images, which
            returns one view of each, or a tuple of two. Layers with a `value_range` need (0, 1).

    Call arguments:
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1, or `(N, 2, H, W, C)` with two
            crops per image, already cut.
        seed: Not used.
        first_position: Not used.

    Returns:
        `(view_1, view_2)`, each float32 `(N, H, W, C)` in [0, 1]; H and W are those of the
        augmentation's output.

    Raises:
        ValueError: If a layer expects other values than those in [0, 1], or what is returned is not
            a batch of images.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> augmenter = sk.TwoViews(
        ...     keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomTranslation(0.1, 0.1)])
        ... )
        >>> view_1, view_2 = augmenter(np.ones((4, 32, 32, 3), "float32"))
        >>> tuple(view_1.shape)
        (4, 32, 32, 3)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.1: any family of
        augmentations.
    """

    def __init__(self, augmentation: keras.layers.Layer | Callable, **kwargs):
        kwargs["dtype"] = "float32"  # as in `SimCLRAugmenter`
        super().__init__(**kwargs)
        if not callable(augmentation):
            raise ValueError(
                "`augmenter` must be a Keras layer or a function of a batch of images. Received: "
                f"{augmentation!r}"
            )
        if isinstance(augmentation, keras.layers.Layer):
            check_value_range(augmentation)
        self.augmentation = augmentation

    def build(self, input_shape: tuple | None = None) -> None:
        inner = self.augmentation
        # Keras 2.15 does not list the variables of one that is not built.
        if isinstance(inner, keras.Sequential) and not inner.built and input_shape:
            inner.build(input_shape)
        self.built = True

    def compute_output_shape(self, input_shape: tuple) -> tuple[tuple, tuple]:
        view = (input_shape[0], None, None, input_shape[-1])  # of a function
        if isinstance(self.augmentation, keras.layers.Layer):
            view = tuple(self.augmentation.compute_output_shape(input_shape))
        return view, view

    def call(
        self, images: tf.Tensor, seed: typing.Any = None, first_position: typing.Any = 0
    ) -> tuple[tf.Tensor, ...]:
        images = to_unit_range(images)
        if images.shape.rank == 5:
            return tuple(self._view(self._changed(images[:, view])) for view in range(2))
        changed = self._changed(images)
        if isinstance(changed, (tuple, list)):
            if len(changed) != 2:
                raise ValueError(
                    "`augmenter` must return one view of each image, or a tuple of two. Received: "
                    f"{len(changed)} views"
                )
            return tuple(map(self._view, changed))
        return self._view(changed), self._view(self._changed(images))

    def _changed(self, images):
        if isinstance(self.augmentation, keras.layers.Layer):
            return self.augmentation(images, training=True)
        return self.augmentation(images)

    def _view(self, view) -> tf.Tensor:
        view = tf.cast(view, tf.float32)
        if view.shape.rank != 4:
            raise ValueError(
                "`augmenter` must return images, shape (N, H, W, C). Received: a view of shape "
                f"{tuple(view.shape)}"
            )
        low, high = tf.reduce_min(view), tf.reduce_max(view)
        fits = (low >= -_OVERSHOOT) & (high <= 1.0 + _OVERSHOOT)
        message = (
            "The views of `augmenter` must be in [0, 1]; give its layers `value_range=(0, 1)`."
        )
        check = tf.debugging.Assert(fits, [message, "Received: values from", low, "to", high])
        with tf.control_dependencies([] if check is None else [check]):  # `None` in eager mode
            return tf.clip_by_value(view, 0.0, 1.0)

    def get_config(self) -> dict:
        config = super().get_config()
        config["augmentation"] = keras.saving.serialize_keras_object(self.augmentation)
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if isinstance(config["augmentation"], dict):
            config["augmentation"] = keras.saving.deserialize_keras_object(
                config["augmentation"]
            )
        return cls(**config)


def check_value_range(layer: keras.layers.Layer) -> None:
    """Raises an error if a layer, or one inside it, expects other images than those in [0, 1].

    Raises:
        ValueError: If a `value_range` is not (0, 1); Keras' and KerasCV's default is (0, 255).
    """
    value_range = layer.get_config().get("value_range")
    if value_range is None:  # a pipeline, or a layer that works in any range
        for inner in layer._flatten_layers(include_self=False, recursive=False):
            check_value_range(inner)
    elif tuple(map(float, value_range)) != (0.0, 1.0):
        raise ValueError(
            f"Augmentation layers get images in [0, 1]: give {type(layer).__name__} "
            f"`value_range=(0, 1)`. Received: value_range={tuple(value_range)}"
        )
