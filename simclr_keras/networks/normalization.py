"""`replace_batch_norm`: the same network with normalisation that does not look at the batch."""

import keras
import numpy as np

from ..errors import InputError
from ..keras_versions import clone_with, is_graph, layers_of_graphs
from ..settings import Normalization, check_choice, choices_of

_GROUPS = 32  # Wu & He 2018, Section 3.1
_CHANNELS_PER_GROUP = 16  # the least, as in the second half of its Table 3


def replace_batch_norm(network: keras.Model, normalization: Normalization) -> keras.Model:
    """A copy of a network, weights included, with other normalisation layers.

    Batch norm sees one micro-batch at a time, so a batch in micro-batches does not train quite
    as one that is not cut. Group norm and frozen batch norm look at each image alone: there the
    two are the same.

    Args:
        network: Functional or sequential model. A model that has no batch norm comes back as a
            copy.
        normalization: `"batch"` returns the network itself. `"group"` puts group normalisation
            in the place of each batch norm: as many groups as divide the channels, at most 32 and
            each of at least 16 channels, so that a group also has a variance where an image has
            a single position.
            `"frozen"` keeps batch norm with its present averages, gamma and beta for good:
            for networks that begin from trained weights.

    Returns:
        The network.

    Raises:
        InputError: If `normalization` is another, or Keras does not know how the layers of the
            network are connected: those of a subclassed model cannot be exchanged.

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
            "Only the layers of a functional or sequential model can be exchanged. Build the "
            "encoder with the normalisation that you want, or leave it at 'batch'. Received: "
            f"normalization={normalization!r} with {type(network).__name__}"
        )

    def replace(layer):
        if not isinstance(layer, keras.layers.BatchNormalization):
            return None
        config = layer.get_config()
        if normalization == "frozen":
            return layer.__class__.from_config({**config, "trainable": False})
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
    """The number of groups of group norm for so many channels.

    A group normalises its values to mean 0 and variance 1, so one that holds a single value is
    always 0, and the gradient behind it too. Vectors, and the feature maps of small images, have
    one position: a group's channels are all it has.

    Args:
        channels: C >= 1.

    Returns:
        The most groups that divide C, at most 32 and each of at least 16 channels; 1, which is
        layer norm, where no other number does.

    Reference:
        Wu & He 2018, https://arxiv.org/abs/1803.08494, Table 3: 32 groups and 16 channels a
        group are within 0.3 points on ImageNet.
    """
    most = min(_GROUPS, channels // _CHANNELS_PER_GROUP)
    return max(count for count in range(1, max(most, 1) + 1) if channels % count == 0)
