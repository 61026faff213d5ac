"""`trained_encoder`: loads the encoder of a run, a file or the original release."""

import dataclasses
import os
import pathlib
import typing

import keras

from ..errors import InputError
from ..networks.encoders import build_encoder
from ..networks.official_checkpoints import load_official_checkpoint
from ..networks.saved_encoder import load_encoder
from ..serving.layer import ExportedEncoder
from ..serving.versions import read_metadata
from ..stores import is_remote
from .config import TrainedConfig
from .directory import RunDirectory
from .initial_weights import kind_of, load_initial_weights, network_settings
from .pretrain_config import PretrainConfig


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
    """An encoder and where it comes from.

    Attributes:
        encoder: Images in [0, 1] to features.
        image_size: Height and width in pixels of the images it was trained on, or is to be used on.
        origin: Where it comes from, for `metadata.json` of an export.
        directory: The run's directory; `None` without a run.
        config: The run's settings; `None` without a run.
    """

    encoder: keras.Model
    image_size: int
    origin: dict
    directory: RunDirectory | None = None
    config: PretrainConfig | None = None


def trained_encoder(config: TrainedConfig) -> TrainedEncoder:
    """Loads the encoder of a finished run, an export, a .keras file or an original checkpoint.

    Args:
        config: Which encoder to load.

    Returns:
        The encoder with its image size and origin.

    Raises:
        InputError: If there is no such run, model or checkpoint.
    """
    if config.official is not None:
        encoder = load_official_checkpoint(config.official).encoder
        has_small_stem = "initial_max_pool" not in [layer.name for layer in encoder.layers]
        return TrainedEncoder(
            encoder,
            config.image_size or (32 if has_small_stem else 224),
            {
                "encoder": encoder.name,
                "official_checkpoint": pathlib.Path(config.official).name,
            },
        )
    path = str(config.run)
    kind = kind_of(path)
    if kind == "export":
        return _exported(path)
    if kind == "keras":
        return _in_file(path, config.image_size)
    directory = RunDirectory(path)
    encoder, pretraining = directory.load_encoder(), directory.read_config()
    origin = {"encoder": pretraining.encoder, "training_run": published_settings(pretraining)}
    return TrainedEncoder(encoder, pretraining.image_size, origin, directory, pretraining)


def published_settings(config: PretrainConfig) -> dict:
    """The settings of a run for a model that others get: without the folders of this machine."""
    settings = dataclasses.asdict(config)
    for name in ("run_dir", "data_dir", "sources"):
        del settings[name]
    for name in ("dataset", "weights", "encoder"):
        value = settings[name]
        if value and (is_remote(value) or os.path.isabs(value) or os.path.exists(value)):
            settings[name] = pathlib.Path(value).name
    return settings


def _exported(path: str) -> TrainedEncoder:
    """The encoder of an export: the network itself if its architecture is known, or a layer."""
    metadata = read_metadata(path)
    size, channels = metadata["image_size"], metadata["channels"]
    encoder = _network_of(path, size, channels)
    if encoder is None:
        images = keras.Input((size, size, channels))
        encoder = keras.Model(images, ExportedEncoder(path)(images), name=metadata["encoder"])
    return TrainedEncoder(encoder, size, _origin(path, encoder))


def _network_of(path: str, size: int, channels: int) -> keras.Model | None:
    """The network of an export with its weights; `None` if only the export knows it."""
    settings: dict[str, typing.Any] = network_settings(path)
    options = ("width_multiplier", "small_image_stem", "selective_kernel")
    known = {name: settings[name] for name in options if name in settings}
    try:
        encoder = build_encoder(settings.get("encoder", ""), size, channels=channels, **known)
    except InputError:
        return None
    weights = load_initial_weights(path)
    if weights is None or not weights.fit_encoder(encoder):
        return None
    weights.copy_to_encoder(encoder)
    return encoder


def _in_file(path: str, image_size: int | None) -> TrainedEncoder:
    encoder = load_encoder(path)
    size = image_size or encoder.input_shape[1]
    if size is None:
        raise InputError(
            f"The encoder in {path} takes images of any size: set the one to use with `image_size`."
        )
    return TrainedEncoder(encoder, size, _origin(path, encoder))


def _origin(path: str, encoder: keras.Model) -> dict:
    return {"encoder": encoder.name, "model": pathlib.Path(path).name}
