"""`export`: the encoder or a classifier of a run as a SavedModel."""

import dataclasses
import logging
import pathlib

from ..errors import nothing_written
from ..files import check_can_be_written
from ..local_copies import with_local_copies
from ..progress import progress_shown
from ..result import Result
from ..serving.export import export_classifier, export_encoder
from ..stores import is_remote
from .classifiers import find_classifier
from .config import ExportConfig
from .directory import RunDirectory
from .trained_encoder import published_settings, trained_encoder

_LOGGER = logging.getLogger("simclr_keras")


@dataclasses.dataclass(frozen=True)
class ExportResult(Result):
    """What `export` wrote.

    Attributes:
        path: The folder of the exported version.
    """

    path: pathlib.Path

    def __fspath__(self) -> str:
        """The path, so that the result can be given where a model is expected."""
        return str(self.path)


@nothing_written()
@progress_shown()
@with_local_copies
def export(config: ExportConfig) -> ExportResult:
    """Exports the encoder of a finished run, or one of its classifiers.

    See `simclr_keras.export_encoder` and `simclr_keras.export_classifier`.

    Args:
        config: The settings.

    Returns:
        An `ExportResult`, which can be given wherever the path of a model is expected.

    Raises:
        InputError: If there is no finished run or checkpoint, or the version already exists.

    Example:
        >>> import simclr_keras as sk
        >>> exported = sk.export(sk.ExportConfig("runs/digits", output="saved_models/digits"))
        >>> exported.path.name, (exported.path / "saved_model.pb").exists()
        ('1', True)

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """
    if not is_remote(config.output):
        check_can_be_written(config.output, "`output`", is_folder=True)
    common = {name: getattr(config, name) for name in ("version", "weights_dtype", "licence")}
    if config.classifier is not None:
        return ExportResult(_export_classifier(config, common))
    trained = trained_encoder(config)
    _announce(trained.encoder.name, trained.image_size)
    return ExportResult(
        export_encoder(
            trained.encoder,
            config.output,
            image_size=trained.image_size,
            metadata=trained.origin,
            l2_normalise=config.l2_normalise,
            **common,
        )
    )


def _announce(name: str, image_size: int) -> None:
    _LOGGER.info(
        "Tracing %s for images of %d x %d pixels: seconds, or a minute for a large network.",
        name,
        image_size,
        image_size,
    )


def _export_classifier(config: ExportConfig, common: dict) -> pathlib.Path:
    directory = RunDirectory(config.run)  # type: ignore[arg-type]  # not None: `ExportConfig`
    saved, pretraining = find_classifier(directory, config.classifier), directory.read_config()
    _announce(f"classifier {saved.name}", pretraining.image_size)
    return export_classifier(
        saved.load(),
        config.output,
        saved.read_class_names(),
        image_size=pretraining.image_size,
        metadata={
            "encoder": pretraining.encoder,
            "training_run": published_settings(pretraining),
            "classifier": f"{saved.path.parent.name}/{saved.name}",
            "classifier_settings": saved.read_settings(),
        },
        **common,
    )
