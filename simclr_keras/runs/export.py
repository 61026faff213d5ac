"""`export`: the encoder of a run as a SavedModel."""

import dataclasses
import os
import pathlib

from ..serving.export import export_encoder
from .directory import RunDirectory


def export(
    run_dir: str | os.PathLike, output: str | os.PathLike, version: int | None = None, **options
) -> pathlib.Path:
    """Exports the encoder of a finished run; see `simclr_keras.export_encoder`.

    Args:
        run_dir: A finished run directory.
        output: Folder of the model, such as `saved_models/flowers`.
        version: Number of the version. Defaults to the next free one.
        **options: `l2_normalise`, `weights_dtype` and `licence` of `export_encoder`.

    Returns:
        The version's folder.

    Raises:
        InputError: If there is no finished run, or the version exists.
    """
    directory = RunDirectory(run_dir)
    encoder = directory.load_encoder()
    config = directory.read_config()
    return export_encoder(
        encoder,
        output,
        version=version,
        image_size=config.image_size,
        metadata={"encoder": config.encoder, "training_run": dataclasses.asdict(config)},
        **options,
    )
