"""`load_weights`: the weights of an encoder from a file."""

import warnings

import keras

from ..errors import InputError
from .adapter import one_line


def load_weights(encoder: keras.Model, weights: str | None) -> None:
    """Loads a weights file into an encoder, if there is one.

    Args:
        encoder: The network.
        weights: Path of the file, or `None`.

    Raises:
        InputError: If the file does not fit, or `weights` is `"imagenet"`.
    """
    if weights is None:
        return
    if weights == "imagenet":
        raise InputError(
            "`weights='imagenet'` is available for keras.applications only. "
            f"Received: name={encoder.name}"
        )
    try:
        with warnings.catch_warnings():  # Keras 3 only warns about layers left random
            warnings.filterwarnings("error", message=".*freshly-initialized")
            encoder.load_weights(weights)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        raise InputError(
            f"The weights do not fit {encoder.name}: {one_line(error)} "
            f"Received: weights={weights}"
        ) from error
