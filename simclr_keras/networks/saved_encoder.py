"""Encoders in `.keras` files: `load_encoder` and `save_encoder`."""

import os

import keras

from ..files import whole_file
from ..keras_versions import check_loadable
from .adapter import with_fast_norms, with_keras_layers, with_right_gradients


def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Loads a saved encoder, such as `RUN/encoder.keras`.

    Keras reads the encoder of a run without this package too. This function prepares it for
    training as well: batch norms are synchronised over replicas and fast on one, and 1x1
    convolutions whose gradient TensorFlow computes wrongly on CPUs subsample first. It also reads
    files that contain layers of this package, and does not load optimizers.

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
    return with_right_gradients(with_fast_norms(keras.models.load_model(path, compile=False)))


def save_encoder(encoder: keras.Model, path: str | os.PathLike) -> None:
    """Writes a network as a `.keras` file, which Keras reads without this package.

    The file appears when it is complete. A subclassed network needs the code of its class.

    Args:
        encoder: The network.
        path: The file.
    """
    with whole_file(path) as unfinished:
        with_keras_layers(encoder).save(unfinished)
