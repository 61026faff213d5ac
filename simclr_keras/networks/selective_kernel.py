"""The selective-kernel unit of SimCLR v2: two streams, mixed channel by channel.

N images, H x W positions, F filters. The functions are parts of a functional model.
"""

import keras

from ..keras_versions import split_channels


def pool_streams(streams, name: str):
    """Averages the sum of the two streams over space, as input for the mixing weights.

    Args:
        streams: `(N, H, W, 2F)`, the two streams concatenated.
        name: Prefix of the layers' names.

    Returns:
        `(N, 1, 1, F)`.
    """
    # The mean of the sum is the sum of the means, which adds H * W times fewer numbers.
    means = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_means")(streams)
    return keras.layers.Add(name=name)(split_channels(means))


def mix_streams(streams, logits, name: str):
    """The sum of two streams, weighted by a softmax over the two for each image and channel.

    Args:
        streams: `(N, H, W, 2F)`.
        logits: `(N, 1, 1, 2F)`.
        name: Prefix of the layers' names.

    Returns:
        `(N, H, W, F)`.
    """
    first, second = split_channels(streams)
    # A softmax over two logits is the sigmoid of their difference.
    difference = keras.layers.Subtract(name=f"{name}_logit")(split_channels(logits))
    share = keras.layers.Activation("sigmoid", name=f"{name}_share")(difference)
    change = keras.layers.Subtract(name=f"{name}_change")([first, second])
    change = keras.layers.Multiply(name=f"{name}_weighted")([change, share])
    return keras.layers.Add(name=name)([second, change])
