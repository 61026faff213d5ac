"""`export`: the encoder of a run as a SavedModel."""

import os
import pathlib

from ..serving.export import export_encoder
from .trained_encoder import trained_encoder


def export(
    run_dir: str | os.PathLike | None,
    output: str | os.PathLike,
    version: int | None = None,
    official: str | os.PathLike | None = None,
    image_size: int | None = None,
    **options,
) -> pathlib.Path:
    """Exports the encoder of a finished run; see `simclr_keras.export_encoder`.

    Args:
        run_dir: A finished run directory, or `None` with `official`.
        output: Folder of the model, such as `saved_models/flowers`.
        version: Number of the version. Defaults to the next free one.
        official: A checkpoint of the original release instead of a run.
        image_size: Of `official`. Defaults to 224, or 32 with the stem for small images.
        **options: `l2_normalise`, `weights_dtype` and `licence` of `export_encoder`.

    Returns:
        The version's folder.

    Raises:
        InputError: If there is no finished run or checkpoint, or the version exists.
    """
    trained = trained_encoder(run_dir, official, image_size)
    return export_encoder(
        trained.encoder,
        output,
        version=version,
        image_size=trained.image_size,
        metadata=trained.origin,
        **options,
    )
