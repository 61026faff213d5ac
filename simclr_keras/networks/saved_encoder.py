"""`load_encoder`: an encoder from a `.keras` file."""

import os

import keras

from ..keras_versions import check_loadable

# Imported to register with Keras the layers that such a file may contain.
from . import batch_normalization, encoders, projection_head, selective_kernel  # noqa: F401
from .adapter import with_right_gradients


def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Loads a saved encoder, such as `RUN/encoder.keras`.

    Like `keras.models.load_model`, but registers the layers of this package with Keras first
    and does not load optimizers. Files of earlier versions may contain 1x1 convolutions whose
    gradient TensorFlow computes wrongly on CPUs: these are made to subsample first.

    Args:
        path: The `.keras` file, written by the same Keras generation (2.15 or 3).

    Returns:
        The encoder: images in [0, 1] to features `(N, D)`.

    Raises:
        ValueError: If the file does not exist or has custom layers that Keras does not know.
        RunFailure: On Keras 2.15, if `tf_keras` has been imported: loading would hang.

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
