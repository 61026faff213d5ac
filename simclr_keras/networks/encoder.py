"""`Encoder`: a model of images in [0, 1] that does not take others without a word."""

import typing

import keras
import numpy as np
import tensorflow as tf

from ..data.images import in_one_sentence, to_unit_range
from ..keras_versions import is_graph


@keras.saving.register_keras_serializable(package="simclr_keras")
class Encoder(keras.Model):
    """A functional model of images in [0, 1]; those in 0-255 would give other features.

    uint8 images are divided by 255. In eager calls and in `predict`, floating-point images outside
    [0, 1] are an error; inside other graphs, such as those of training and exports, nothing is added.
    """

    def __call__(self, images, *arguments, **options):
        is_array = isinstance(images, (np.ndarray, tf.Tensor))
        if is_array and (tf.executing_eagerly() or images.dtype == tf.uint8):
            images = to_unit_range(images)
        return super().__call__(images, *arguments, **options)

    def predict_step(self, data):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return super().predict_step((to_unit_range(images),))

    def predict(self, x: typing.Any, **options) -> np.ndarray:
        """Features of images, `(N, D)`, as `keras.Model.predict` does.

        Args:
            x: Images or batches of images, uint8 in 0-255 or floating in 0-1.
            **options: Of `keras.Model.predict`.

        Raises:
            ValueError: If floating-point images are outside [0, 1].
        """
        with in_one_sentence():
            return super().predict(x, **options)


def as_encoder(model: keras.Model) -> keras.Model:
    """The same layers as an `Encoder`; a subclassed model itself."""
    if isinstance(model, Encoder) or not is_graph(model):
        return model
    # Not `input` and `output`, which a sequential model has only once it was called.
    return Encoder(model.inputs[0], model.outputs[0], name=model.name)
