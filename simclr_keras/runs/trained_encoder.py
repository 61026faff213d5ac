"""`trained_encoder`: what `evaluate` and `export` work on, a run's or the original release's."""

import dataclasses
import os
import pathlib

import keras

from ..errors import InputError
from ..networks.official_checkpoints import load_official_checkpoint
from .config import PretrainConfig
from .directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class TrainedEncoder:
    """An encoder and where it comes from.

    Attributes:
        encoder: Images in [0, 1] to features.
        image_size: Side in pixels of the images that it was trained on, or is to be used on.
        origin: What an export says of it in `metadata.json`.
        directory: The run's; `None` without one.
        config: The run's settings; `None` without a run.
    """

    encoder: keras.Model
    image_size: int
    origin: dict
    directory: RunDirectory | None = None
    config: PretrainConfig | None = None


def trained_encoder(
    run_dir: str | os.PathLike | None,
    official: str | os.PathLike | None = None,
    image_size: int | None = None,
) -> TrainedEncoder:
    """Loads the encoder of a finished run or of a checkpoint of the original release.

    Args:
        run_dir: A finished run directory, or `None` with `official`.
        official: What `load_official_checkpoint` takes.
        image_size: Of `official` only, which does not hold it. Defaults to 224, or 32 with the
            stem for small images.

    Returns:
        The encoder with its image size and origin.

    Raises:
        InputError: If not exactly one of the two is given or loads, or a run is given a size.
    """
    if (run_dir is None) == (official is None):
        raise InputError(
            "Name either a run directory or, with --official, a checkpoint of the original "
            f"release. Received: RUN={run_dir}, --official={official}"
        )
    if official is not None:
        encoder = load_official_checkpoint(official).encoder
        has_small_stem = "initial_max_pool" not in [layer.name for layer in encoder.layers]
        return TrainedEncoder(
            encoder,
            image_size or (32 if has_small_stem else 224),
            {"encoder": encoder.name, "official_checkpoint": pathlib.Path(official).name},
        )
    if image_size is not None:
        raise InputError(
            "--image-size belongs to --official: a run knows the size of its images. "
            f"Received: --image-size={image_size} with RUN={run_dir}"
        )
    directory = RunDirectory(run_dir)
    encoder = directory.load_encoder()
    config = directory.read_config()
    origin = {"encoder": config.encoder, "training_run": dataclasses.asdict(config)}
    return TrainedEncoder(encoder, config.image_size, origin, directory, config)
