"""`export`: the encoder or a classifier of a run as a SavedModel."""

import dataclasses
import pathlib

from ..serving.export import export_classifier, export_encoder
from .classifiers import find_classifier
from .config import ExportConfig
from .directory import RunDirectory
from .trained_encoder import trained_encoder


def export(config: ExportConfig) -> pathlib.Path:
    """Exports the encoder of a finished run, or one of its classifiers.

    See `simclr_keras.export_encoder` and `simclr_keras.export_classifier`.

    Args:
        config: The settings.

    Returns:
        The folder of the exported version.

    Raises:
        InputError: If there is no finished run or checkpoint, or the version already exists.

    Example:
        >>> import simclr_keras as sk
        >>> path = sk.export(sk.ExportConfig("runs/digits", output="saved_models/digits"))
        >>> path.name, (path / "saved_model.pb").exists()
        ('1', True)

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """
    common = {name: getattr(config, name) for name in ("version", "weights_dtype", "licence")}
    if config.classifier is not None:
        return _export_classifier(config, common)
    trained = trained_encoder(config)
    return export_encoder(
        trained.encoder,
        config.output,
        image_size=trained.image_size,
        metadata=trained.origin,
        l2_normalise=config.l2_normalise,
        **common,
    )


def _export_classifier(config: ExportConfig, common: dict) -> pathlib.Path:
    directory = RunDirectory(config.run)  # type: ignore[arg-type]  # not None: `ExportConfig`
    saved, pretraining = find_classifier(directory, config.classifier), directory.read_config()
    return export_classifier(
        saved.load(),
        config.output,
        saved.read_class_names(),
        image_size=pretraining.image_size,
        metadata={
            "encoder": pretraining.encoder,
            "training_run": dataclasses.asdict(pretraining),
            "classifier": f"{saved.path.parent.name}/{saved.name}",
            "classifier_settings": saved.read_settings(),
        },
        **common,
    )
