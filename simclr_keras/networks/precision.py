"""Mixed precision: of new networks (`precision`) and of copies (`copy_of`)."""

import contextlib
from collections.abc import Iterator

import keras

from ..keras_versions import copy_with, layer_like
from ..settings import MixedPrecision


@contextlib.contextmanager
def precision(name: MixedPrecision) -> Iterator[None]:
    """A context whose new layers compute in a mixed precision.

    Args:
        name: `"float16"`, `"bfloat16"`, or `"none"` to leave Keras' policy as it is.
    """
    before = keras.mixed_precision.global_policy()
    if name != "none":
        keras.mixed_precision.set_global_policy(f"mixed_{name}")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def copy_of(network: keras.Model, mixed_precision: MixedPrecision = "none") -> keras.Model:
    """Copies a network and its weights into new variables.

    Args:
        network: Functional or sequential model.
        mixed_precision: What the layers of the copy compute in, except for the last, whose outputs
            stay as precise as they are. Defaults to the precision of `network`.

    Returns:
        The copy; its weights have the dtype of the network's.
    """
    last = network.layers[-1]

    def replace(layer):
        if mixed_precision == "none" or layer is last:
            return None
        return layer_like(layer, dtype=f"mixed_{mixed_precision}")

    return copy_with(network, replace)
