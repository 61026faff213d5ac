"""`load_encoder`: an encoder from a `.keras` file."""

import os

import keras

from ..keras_versions import check_loadable

# Imported for what they register with Keras: the layers that such a file may hold.
from . import batch_normalization, encoders, projection_head, selective_kernel  # noqa: F401
from .adapter import with_right_gradients


def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Loads an encoder that was saved, such as `RUN/encoder.keras`.

    `keras.models.load_model` does the same once the layers of this package are known to Keras.
    This function sees to it; optimizers are left out. 1x1 convolutions whose gradient TensorFlow
    computes wrongly on CPUs, which files of earlier versions may hold, subsample first.

    Args:
        path: The `.keras` file, of this Keras generation.

    Returns:
        The encoder: images in [0, 1] to features `(N, D)`.

    Raises:
        ValueError: If there is no such file, or it holds layers of yours that Keras does not know.
        RunFailure: On Keras 2.15, if `tf_keras` has been imported: it would never come back.

    Example:
        >>> import tempfile
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder("simclr_resnet18", 32, width_multiplier=0.125)
        >>> path = tempfile.mkdtemp() + "/encoder.keras"
        >>> encoder.save(path)
        >>> sk.load_encoder(path).output_shape
        (None, 64)

    Reference:
        https://keras.io/guides/serialization_and_saving/
    """
    check_loadable()
    return with_right_gradients(keras.models.load_model(path, compile=False))
