"""`load_comparison`: the other encoders that `evaluate` compares with."""

import logging
import typing

import keras

from ..errors import InputError
from ..networks.adapter import one_line
from ..networks.encoders import build_encoder, is_application
from ..networks.saved_encoder import load_encoder
from ..seeds import seed_of_32_bits
from ..serving.layer import ExportedEncoder
from .config import TrainedConfig
from .initial_weights import kind_of
from .pretrain_config import PretrainConfig
from .trained_encoder import TrainedEncoder, trained_encoder

_LOGGER = logging.getLogger("simclr_keras")
_PIXELS = 16  # most pixels per side of `pixels`: more cost much and add nothing
_OF_IMAGENET, _LEAST_SIZE_OF_IMAGENET = "resnet50", 32


def load_comparisons(
    names: typing.Sequence[str], trained: TrainedEncoder, run: PretrainConfig, channels: int
) -> tuple[dict[str, TrainedEncoder], dict[str, str]]:
    """Loads what `compare` names.

    Args:
        names: The setting.
        trained: The encoder that is compared.
        run: The settings of its run, or defaults.
        channels: Of the images.

    Returns:
        The encoders by name; and why others are not to be had, which is logged too.

    Raises:
        InputError: If there is nothing at a path, or an encoder takes images of other channels.
        RunFailure: If the other Keras generation wrote it.
    """
    found, missing = {}, {}
    for name in names:
        try:
            found[name] = _load(name, trained, run, channels)
        except _Unavailable as error:
            missing[name] = str(error)
            _LOGGER.warning("Not compared with %s: %s", name, error)
    for name, other in found.items():
        if (takes := other.encoder.input_shape[-1]) not in (channels, None):
            raise InputError(
                f"{name} takes images of {takes} channels, but these have {channels}. Leave it out. "
                f"Received: compare={name}"
            )
    return found, missing


class _Unavailable(Exception):
    """Says why weights are not to be had here."""


def _load(
    name: str, trained: TrainedEncoder, run: PretrainConfig, channels: int
) -> TrainedEncoder:
    if name == "random":
        return _random(trained, run)
    if name == "pixels":
        side = min(trained.image_size, _PIXELS)
        images = keras.Input((side, side, channels))
        return TrainedEncoder(keras.Model(images, keras.layers.Flatten()(images)), side, {})
    if name == "imagenet":
        return _imagenet(run, trained.image_size, channels)
    prefix, _, path = name.partition(":")
    if prefix == "official":
        return trained_encoder(TrainedConfig(official=path))
    if prefix == "run":
        return trained_encoder(TrainedConfig(run=path))
    return _saved(name, trained.image_size)


def _random(trained: TrainedEncoder, run: PretrainConfig) -> TrainedEncoder:
    if any(isinstance(layer, ExportedEncoder) for layer in trained.encoder.layers):
        raise _Unavailable("the architecture of this export is not known, only its weights")
    keras.utils.set_random_seed(seed_of_32_bits(run.seed))
    encoder = keras.models.clone_model(trained.encoder)
    return TrainedEncoder(encoder, trained.image_size, {})


def _imagenet(run: PretrainConfig, image_size: int, channels: int) -> TrainedEncoder:
    """The run's network, or ResNet-50, with the weights of keras.applications."""
    network = run.encoder if is_application(run.encoder) else _OF_IMAGENET
    size = max(image_size, _LEAST_SIZE_OF_IMAGENET)
    try:
        encoder = build_encoder(network, size, channels, "imagenet", log_changes=False)
    except Exception as error:  # Keras has no class for a download that failed
        raise _Unavailable(
            f"the ImageNet weights of {network} are not to be had here ({one_line(error)})"
        ) from error
    return TrainedEncoder(encoder, size, {"encoder": network})


def _saved(path: str, image_size: int) -> TrainedEncoder:
    kind = kind_of(path)
    if kind == "keras":
        encoder = load_encoder(path)
        return TrainedEncoder(encoder, encoder.input_shape[1] or image_size, {})
    if kind == "official":
        return trained_encoder(TrainedConfig(official=path))
    if kind is not None:
        return trained_encoder(TrainedConfig(run=path))
    raise InputError(
        "`compare` takes random, pixels, imagenet, official:PATH, run:PATH, or the path of a run, an "
        "export, a .keras file or a checkpoint of the original release. There is nothing at that "
        f"path. Received: compare={path}"
    )
