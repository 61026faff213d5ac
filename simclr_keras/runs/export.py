"""`export`: the encoder or a classifier of a run as a SavedModel."""

import dataclasses
import os
import pathlib

from ..errors import InputError
from ..serving.export import export_classifier, export_encoder
from .classifiers import find_classifier
from .directory import RunDirectory
from .trained_encoder import trained_encoder


def export(
    run_dir: str | os.PathLike | None,
    output: str | os.PathLike,
    version: int | None = None,
    official: str | os.PathLike | None = None,
    image_size: int | None = None,
    classifier: str | None = None,
    l2_normalise: bool = False,
    **options,
) -> pathlib.Path:
    """Exports the encoder of a finished run, or one of its classifiers.

    See `simclr_keras.export_encoder` and `simclr_keras.export_classifier`.

    Args:
        run_dir: A finished run directory, or `None` with `official`.
        output: Folder of the model, such as `saved_models/flowers`.
        version: Number of the version. Defaults to the next free one.
        official: A checkpoint of the original release instead of a run.
        image_size: Of `official`. Defaults to 224, or 32 with the stem for small images.
        classifier: Name of a fine-tuned or distilled classifier of the run.
        l2_normalise: As of `export_encoder`.
        **options: `weights_dtype` and `licence` of `export_encoder`.

    Returns:
        The version's folder.

    Raises:
        InputError: If there is no finished run or checkpoint, or the version exists.
    """
    if classifier is not None:
        if official is not None or image_size is not None or l2_normalise:
            raise InputError(
                "--classifier is of a run, and serves probabilities: leave out --official, "
                f"--image-size and --l2-normalise. Received: --classifier={classifier}"
            )
        return _export_classifier(run_dir, output, version, classifier, options)
    trained = trained_encoder(run_dir, official, image_size)
    return export_encoder(
        trained.encoder,
        output,
        version=version,
        image_size=trained.image_size,
        metadata=trained.origin,
        l2_normalise=l2_normalise,
        **options,
    )


def _export_classifier(run_dir, output, version, name: str, options: dict) -> pathlib.Path:
    if run_dir is None:
        raise InputError(f"--classifier needs a run directory. Received: --classifier={name}")
    directory = RunDirectory(run_dir)
    saved, config = find_classifier(directory, name), directory.read_config()
    return export_classifier(
        saved.load(),
        output,
        saved.read_class_names(),
        version=version,
        image_size=config.image_size,
        metadata={
            "encoder": config.encoder,
            "training_run": dataclasses.asdict(config),
            "classifier": f"{saved.path.parent.name}/{saved.name}",
            "classifier_settings": saved.read_settings(),
        },
        **options,
    )
