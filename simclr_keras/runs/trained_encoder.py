"""`trained_encoder`: loads a run's or the original release's encoder to evaluate or export."""

import dataclasses
import pathlib

import keras

from ..networks.official_checkpoints import load_official_checkpoint
from .config import TrainedConfig
from .directory import RunDirectory
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
    """Loads the encoder of a finished run or of a checkpoint of the original release.

    Args:
        config: Which encoder to load.

    Returns:
        The encoder with its image size and origin.

    Raises:
        InputError: If there is no such run or checkpoint.
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
    directory = RunDirectory(config.run)  # type: ignore[arg-type]  # not None: `TrainedConfig`
    encoder, pretraining = directory.load_encoder(), directory.read_config()
    origin = {"encoder": pretraining.encoder, "training_run": dataclasses.asdict(pretraining)}
    return TrainedEncoder(encoder, pretraining.image_size, origin, directory, pretraining)
