"""`prepare_encoder`: prepares any Keras network for contrastive pretraining."""

import re
import typing

import keras

from ..errors import InputError
from ..keras_versions import copy_with, is_graph, layers_of, layers_of_graphs, plain_model
from .batch_normalization import BatchNormalization
from .convolution import Convolution2D
from .encoder import Encoder
from .strided_convolution import StridedConv2D, has_wrong_gradient

# This package's layers -> those of Keras that compute the same.
_OF_KERAS = {
    BatchNormalization: keras.layers.BatchNormalization,
    Convolution2D: keras.layers.Conv2D,
    StridedConv2D: keras.layers.Conv2D,
}
# Rank of a backbone's output -> what makes features of it.
_POOLING = {
    3: (keras.layers.GlobalAveragePooling1D, "tokens averaged"),
    4: (keras.layers.GlobalAveragePooling2D, "feature maps averaged over space"),
}


class PreparedEncoder(typing.NamedTuple):
    """An encoder, with what was changed in it and what still differs.

    Attributes:
        encoder: Images in [0, 1] to features `(N, D)`.
        changed: Changes from the given network, one line each.
        kept: What still differs from the ResNets of the SimCLR release.
    """

    encoder: keras.Model
    changed: tuple[str, ...]
    kept: tuple[str, ...]


def prepare_encoder(
    model: keras.Model,
    image_size: int,
    channels: int = 3,
    momentum: float | None = None,
    preprocess: keras.layers.Layer | None = None,
    name: str | None = None,
) -> PreparedEncoder:
    """Prepares a network for contrastive pretraining and says what it changed.

    Batch normalisation is synchronised over replicas: with the statistics of one replica, the
    network could use those instead of the content to tell a view from the views of the other
    replicas (Section 2.1 of the paper). A 1x1 convolution with a stride and fewer than 16 input
    channels is made to subsample first, because TensorFlow computes its gradient wrongly on
    CPUs. If nothing needs to change, the network itself is returned, otherwise a copy with the
    same weights.

    Args:
        model: Functional, sequential or subclassed. Feature maps `(N, H, W, D)` of a KerasCV or
            KerasHub backbone are averaged over space, tokens `(N, T, D)` over the tokens.
        image_size: Height and width of the images in pixels.
        channels: Image channels C.
        momentum: Momentum of batch normalisation. The SimCLR release uses 0.9; Keras' default
            of 0.99 needs about 500 steps to forget the initial statistics. Defaults to the
            model's.
        preprocess: Layer that maps images in [0, 1] to the input that the model expects.
            Defaults to none, or to a factor of 255 for a KerasCV backbone with
            `include_rescaling`.
        name: Name of the encoder. Defaults to the model's.

    Returns:
        A `PreparedEncoder`, the named tuple `(encoder, changed, kept)`.

    Raises:
        InputError: If the model cannot take images of this shape or does not return `(N, D)`.

    Example:
        >>> import keras
        >>> import simclr_keras as sk
        >>> model = keras.Sequential([
        ...     keras.Input((32, 32, 3)),
        ...     keras.layers.Conv2D(8, 3, use_bias=False),
        ...     keras.layers.BatchNormalization(),
        ...     keras.layers.ReLU(),
        ...     keras.layers.GlobalAveragePooling2D(),
        ... ])
        >>> prepared = sk.prepare_encoder(model, image_size=32, momentum=0.9)
        >>> prepared.changed
        ('1 of 1 batch norms synchronised over replicas', 'batch norm momentum 0.99 -> 0.9')

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.1 (global batch norm) and
        Appendix B.9; Goyal et al. 2017, https://arxiv.org/abs/1706.02677, Section 5.1.
    """
    backbone, changed = _with_norms_changed(model, momentum)
    if preprocess is None and getattr(model, "include_rescaling", False) and is_backbone(model):
        preprocess = keras.layers.Rescaling(255.0, name="preprocess")
    if preprocess is not None:
        changed.append(f"input in [0, 1], mapped by {_described(preprocess)}")
    images = keras.Input((image_size, image_size, channels), name="images")
    try:
        features = backbone(images if preprocess is None else preprocess(images))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"The encoder cannot take {image_size} x {image_size} x {channels} images: "
            f"{one_line(error)} Received: encoder={model.name}"
        ) from error
    shape = tuple(getattr(features, "shape", ()))
    if is_backbone(model) and len(shape) in _POOLING:
        pooling, text = _POOLING[len(shape)]
        features = pooling(name="features")(features)
        changed.append(text)
    check_features(features, model.name)
    is_whole = backbone is model and preprocess is None and not changed
    if is_whole and hasattr(model, "input_shape") and hasattr(model, "output_shape"):
        encoder = model
    else:
        encoder = keras.Model(images, features, name=name or model.name)
    exchanged = with_right_gradients(encoder)  # only now does each layer know its channels
    if exchanged is not encoder:
        changed.append("1x1 convolutions subsample first: their gradient was wrong on CPUs")
    return PreparedEncoder(exchanged, tuple(changed), _differences(exchanged))


def check_features(features: typing.Any, name: str, advice: str = "") -> None:
    """Raises an error if what an encoder returns is not one tensor of features `(N, D)`.

    Args:
        features: What it returns for a symbolic image.
        name: Name of the encoder.
        advice: What else can be done, for the message.

    Raises:
        InputError: If it is something else.
    """
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 2 or shape[1] is None:
        raise InputError(
            "An encoder must return one tensor of features, shape (N, D); end it with a pooling "
            f"layer such as keras.layers.GlobalAveragePooling2D(){advice}. Received: "
            f"encoder={name} with output {shape or type(features).__name__}"
        )


def _with_norms_changed(model: keras.Model, momentum: float | None):
    """The model, or a copy with other batch norms and the same weights; and the changes."""
    norms = layers_of(model, keras.layers.BatchNormalization)
    unsynchronised = [norm for norm in norms if not norm.synchronized]
    slow = [n for n in norms if n.synchronized and not isinstance(n, BatchNormalization)]
    momenta = {norm.momentum for norm in norms} - {momentum}
    if not unsynchronised and not slow and (momentum is None or not momenta):
        return model, []
    if not is_graph(model):  # its layers cannot be replaced: `_differences` reports it
        return model, []

    def replace(layer):
        if not isinstance(layer, keras.layers.BatchNormalization):
            return None
        config = layer.get_config()
        config.update(synchronized=True, momentum=momentum or layer.momentum)
        return BatchNormalization.from_config(config)

    copy = copy_with(model, replace)
    changed = []
    if unsynchronised:
        changed.append(
            f"{len(unsynchronised)} of {len(norms)} batch norms synchronised over replicas"
        )
    if slow:
        changed.append(f"{len(slow)} synchronised batch norms replaced by faster ones")
    if momentum is not None and momenta:
        before = ", ".join(f"{value:g}" for value in sorted(momenta))
        changed.append(f"batch norm momentum {before} -> {momentum:g}")
    return copy, changed


def with_fast_norms(model: keras.Model) -> keras.Model:
    """Replaces the batch norms of a graph with our faster ones, synchronised over replicas.

    Args:
        model: Functional, sequential or subclassed.

    Returns:
        A copy with the same weights and outputs, or the model itself if there is nothing to
        replace or Keras cannot replace its layers.
    """
    return _with_norms_changed(model, None)[0]


def with_keras_layers(model: keras.Model) -> keras.Model:
    """Replaces this package's layers with those of Keras that compute the same.

    Args:
        model: Functional, sequential or subclassed.

    Returns:
        A copy with the same weights and outputs whose file Keras reads without this package; a
        model itself if it has none of them, or is subclassed, so that they cannot be replaced.
    """
    ours = [x for x in layers_of(model) if type(x) in _OF_KERAS or isinstance(x, Encoder)]
    if not ours or not is_graph(model):
        return model
    if ours == [model]:
        return plain_model(model)

    def replace(layer):
        theirs = _OF_KERAS.get(type(layer))
        return theirs and theirs.from_config(layer.get_config())

    return copy_with(model, replace)


def with_right_gradients(model: keras.Model) -> keras.Model:
    """Replaces convolutions whose gradient TensorFlow computes wrongly on CPUs.

    Args:
        model: Functional, sequential or subclassed.

    Returns:
        If the model has such convolutions, a copy with the same weights and outputs that has
        `StridedConv2D` in their place. Otherwise, or if it is subclassed, the model itself.
    """
    if not any(map(_is_exchanged, layers_of_graphs(model))):
        return model
    return copy_with(
        model, lambda x: StridedConv2D.from_config(x.get_config()) if _is_exchanged(x) else None
    )


def _is_exchanged(layer: keras.layers.Layer) -> bool:
    return type(layer) is keras.layers.Conv2D and has_wrong_gradient(layer)


def _differences(model: keras.Model) -> tuple[str, ...]:
    """The differences between a network and the ResNets of the SimCLR release."""
    norms = layers_of(model, keras.layers.BatchNormalization)
    convolutions = layers_of(model, keras.layers.Conv2D)
    biased = sum(bool(layer.use_bias) for layer in convolutions)
    unsynchronised = sum(not norm.synchronized for norm in norms)
    found = []
    if unsynchronised:
        found.append(
            f"{unsynchronised} of {len(norms)} batch norms are not synchronised over replicas, "
            "and Keras cannot replace the layers of a subclassed model"
        )
    wrong = sum(map(has_wrong_gradient, convolutions))
    if wrong:
        found.append(
            f"{wrong} of {len(convolutions)} convolutions have a 1x1 kernel, a stride and fewer than "
            "16 input channels, whose gradient TensorFlow computes wrongly on CPUs; use "
            "AveragePooling2D(1, strides) before a convolution of stride 1 instead"
        )
    if norms and biased:
        found.append(f"{biased} of {len(convolutions)} convolutions have a bias")
    for name, expected in (("momentum", 0.9), ("epsilon", 1e-5)):
        values = sorted({getattr(norm, name) for norm in norms} - {expected})
        if values:
            text = ", ".join(f"{value:g}" for value in values)
            found.append(f"batch norm {name} {text} (SimCLR: {expected:g})")
    if norms and not any(type(n.gamma_initializer).__name__ == "Zeros" for n in norms):
        found.append("no residual branch begins at zero (SimCLR: the last gamma of each block)")
    return tuple(found)


def is_backbone(model: keras.Model) -> bool:
    """Whether a model is one of KerasCV or KerasHub; imports neither."""
    return type(model).__module__.split(".")[0] in ("keras_cv", "keras_hub")


def one_line(error: Exception) -> str:
    """The start of a Keras error message, without colours and line breaks."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]


def _described(layer: keras.layers.Layer) -> str:
    if isinstance(layer, keras.Model):
        return layer.name
    config = layer.get_config()
    values = [f"{key}={config[key]}" for key in ("scale", "offset") if key in config]
    return f"{type(layer).__name__}({', '.join(values)})"
