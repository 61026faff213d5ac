"""`ExportedEncoder`: an exported encoder as a Keras layer, for fine-tuning too."""

import os

import keras
import tensorflow as tf

from ..errors import InputError
from ..keras_versions import track_variables
from .versions import embedding_dimension, load_exported


@keras.saving.register_keras_serializable(package="simclr_keras")
class ExportedEncoder(keras.layers.Layer):
    """Runs an exported encoder inside a Keras model, frozen or fine-tuned.

    `hub.KerasLayer` does this for tf-keras; this layer does it for Keras 3 and 2.15.
    `keras.layers.TFSMLayer` runs an export too, but always in inference mode.

    Args:
        model_path: A version's folder, or the model's folder (uses the newest version).
        trainable: Whether training changes the encoder; batch norm then uses batch statistics
            and updates its moving averages. Defaults to `False` (frozen).

    Call arguments:
        images: float32 `(N, S, S, C)` in [0, 1].
        training: Whether the model is being trained.

    Returns:
        float32 features `(N, D)`.

    Raises:
        InputError: If there is no exported model, or `trainable` is set for a half-size one.

    Example:
        >>> import tempfile
        >>> import keras
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> path = sk.export_encoder(encoder, tempfile.mkdtemp() + "/tiny", image_size=16)
        >>> images = keras.Input((16, 16, 3))
        >>> features = sk.ExportedEncoder(path, trainable=True)(images)
        >>> classifier = keras.Model(images, keras.layers.Dense(10)(features))
        >>> classifier.output_shape
        (None, 10)

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """

    def __init__(self, model_path: str | os.PathLike, trainable: bool = False, **kwargs):
        # Under a half-precision policy Keras would round the images before the export gets them.
        kwargs["dtype"] = "float32"
        super().__init__(trainable=trainable, **kwargs)
        self.model_path = os.fspath(model_path)
        self._dimension = embedding_dimension(model_path)
        self._exported = _Untracked(load_exported(model_path))
        exported = self._exported.value
        trainable_variables = list(exported.trainable_variables)
        known = {id(v) for v in trainable_variables}
        others = [v for v in exported.variables if id(v) not in known]
        if trainable and not trainable_variables:
            raise InputError(
                f"{model_path} cannot be fine-tuned: it was exported at half the size, for serving. "
                "Export the run again with `weights_dtype=float32`."
            )
        track_variables(self, trainable_variables, others)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self._exported.value(images, training=bool(training) and self.trainable)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (input_shape[0], self._dimension)

    def get_config(self) -> dict:
        return {**super().get_config(), "model_path": self.model_path}


class _Untracked:
    """Keeps Keras from tracking the weights inside: they are registered explicitly."""

    def __init__(self, value):
        self.value = value
