"""`replace_batch_norm`: replaces batch norm with normalisation independent of the batch."""

import keras
import numpy as np

from ..errors import InputError
from ..keras_versions import clone_with, is_graph, layer_like, layers_of_graphs
from ..settings import Normalization, check_choice, choices_of

_GROUPS = 32  # Wu & He 2018, Section 3.1
_CHANNELS_PER_GROUP = 16  # minimum, as in the second half of its Table 3


def replace_batch_norm(network: keras.Model, normalization: Normalization) -> keras.Model:
    """Copies a network, weights included, with other normalisation layers.

    Batch norm sees one micro-batch at a time, so training in micro-batches differs slightly
    from training on the undivided batch. Group norm and frozen batch norm treat each image
    independently: with them, the two are the same.

    Args:
        network: Functional or sequential model. A model without batch norm is returned as a
            copy.
        normalization: `"batch"` returns the network itself. `"group"` replaces each batch norm
            with group normalisation: the largest number of groups that divides the channels,
            at most 32 and each of at least 16 channels, so that a group has a variance even
            where an image has a single position.
            `"frozen"` keeps batch norm but fixes its moving averages, gamma and beta: for
            networks that start from trained weights.

    Returns:
        The network.

    Raises:
        InputError: If `normalization` is not one of these, or the network is a subclassed
            model: Keras does not know how its layers are connected and cannot replace them.

    Example:
        >>> import simclr_keras as sk
        >>> from simclr_keras.networks.normalization import replace_batch_norm
        >>> encoder = sk.build_encoder("simclr_resnet18", 32, width_multiplier=0.25)
        >>> encoder = replace_batch_norm(encoder, "group")
        >>> encoder.get_layer("block_group4_block1_norm1").groups  # 128 channels
        8

    Reference:
        Wu & He 2018, "Group Normalization", https://arxiv.org/abs/1803.08494.
    """
    check_choice("normalization", normalization, choices_of(Normalization))
    if normalization == "batch":
        return network
    if not is_graph(network):
        raise InputError(
            "Only the layers of a functional or sequential model can be replaced. Build the "
            "encoder with the normalisation that you want, or keep 'batch'. Received: "
            f"normalization={normalization!r} with {type(network).__name__}"
        )

    def replace(layer):
        if not isinstance(layer, keras.layers.BatchNormalization):
            return None
        if normalization == "frozen":
            return layer_like(layer, trainable=False)
        config = layer.get_config()
        kept = "name epsilon center scale gamma_initializer beta_initializer dtype".split()
        return keras.layers.GroupNormalization(
            groups(layer.moving_mean.shape[0]),
            axis=int(np.ravel(config["axis"])[0]),  # Keras 2.15 has a list
            **{name: config[name] for name in kept},
        )

    copy = clone_with(network, replace)
    for old, new in zip(layers_of_graphs(network), layers_of_graphs(copy)):
        weights = old.get_weights()
        if isinstance(new, keras.layers.GroupNormalization):
            weights = weights[: len(new.get_weights())]  # gamma and beta come first
        new.set_weights(weights)
    return copy


def groups(channels: int) -> int:
    """Chooses the number of groups for group norm.

    A group normalises its values to mean 0 and variance 1, so a group of a single value is
    always 0, and so is the gradient through it. Vectors, and the feature maps of small images,
    have one position, so a group has one value per channel.

    Args:
        channels: C >= 1.

    Returns:
        The largest number of groups that divides C, at most 32 and each of at least 16
        channels; 1 (layer norm) if there is none.

    Reference:
        Wu & He 2018, https://arxiv.org/abs/1803.08494, Table 3: 32 groups and 16 channels
        per group are within 0.3 points on ImageNet.
    """
    most = min(_GROUPS, channels // _CHANNELS_PER_GROUP)
    return max(count for count in range(1, max(most, 1) + 1) if channels % count == 0)
