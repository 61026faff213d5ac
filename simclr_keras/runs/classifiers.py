"""The classifiers in a run directory: `RUN/fine-tuned/NAME/` and `RUN/distilled/NAME/`."""

import csv
import dataclasses
import json
import os
import pathlib
import shutil

import keras

from ..classifiers.labels import LabelList, write_labels
from ..classifiers.training import TrainedClassifier
from ..data.datasets import is_same_data
from ..errors import InputError
from ..files import is_unfinished, unfinished_folder, write_json
from ..local_copies import is_copy
from ..networks.saved_encoder import load_encoder, save_encoder
from ..settings import without_idle_epochs
from .classifier_config import ClassifierConfig
from .directory import RunDirectory
from .labelled_data import data_sets
from .pretrain_config import PretrainConfig

KINDS = ("fine-tuned", "distilled")
# May differ when a command is repeated: they do not change its result.
_FREE_SETTINGS = ("run", "data_dir", "strategy", "max_bad_fraction")


@dataclasses.dataclass(frozen=True)
class SavedClassifier:
    """One classifier of a run and its files."""

    path: pathlib.Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def checkpoints(self) -> pathlib.Path:
        """Where its training is saved until it is finished: `RUN/checkpoints/KIND/NAME`."""
        return self.path.parent.parent / "checkpoints" / self.path.parent.name / self.name

    @property
    def labels_file(self) -> pathlib.Path:
        """The labels it was trained on."""
        return self.path / "labels.csv"

    def load(self) -> keras.Model:
        """The classifier: images in [0, 1] to logits `(N, C)`."""
        return load_encoder(self.path / "classifier.keras")

    def read_settings(self) -> dict:
        """The settings it was trained with."""
        return json.loads((self.path / "settings.json").read_text())

    def read_class_names(self) -> tuple[str, ...]:
        """The classes in the order of the logits."""
        return tuple(json.loads((self.path / "classes.json").read_text()))

    def finished_result(
        self, config: ClassifierConfig, pretraining: PretrainConfig
    ) -> dict | None:
        """The result of an earlier run of the same command; `None` if there is none.

        Removes the checkpoints of a finished one: the process that saved it may have been killed.

        Args:
            config: The settings of the command.
            pretraining: The run's settings.

        Raises:
            InputError: If the classifier was trained with other settings.
        """
        if not self.path.exists():
            return None
        if is_copy(self.path) and not (self.path / "classifier.keras").exists():
            shutil.rmtree(self.path)  # it was cut off on its way to the store
            return None
        try:
            # Settings that an earlier version of this package did not have had their defaults.
            settings = without_idle_epochs(self.read_settings())
            begun = type(config)(**settings)
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{self.path} exists but is not a classifier. Choose another `name`."
            ) from error
        before, now = (data_sets(settings, pretraining) for settings in (begun, config))
        same = [name for name in now if is_same_data(before[name], now[name])]
        different = [
            f"{key}={getattr(begun, key)} (now {value})"
            for key, value in dataclasses.asdict(config).items()
            if key not in (*_FREE_SETTINGS, *same) and getattr(begun, key) != value
        ]
        if different:
            raise InputError(
                f"{self.path} was trained with other settings: {', '.join(different)}. Choose "
                "another `name`, or remove the folder."
            )
        self._remove_checkpoints()
        # An earlier version of this package did not say whether pretraining saw test images.
        unknown = {"test_images_seen": None, "seen_in_pretraining": None}
        return {**unknown, **json.loads((self.path / "result.json").read_text())}

    def save(
        self,
        config: ClassifierConfig,
        trained: TrainedClassifier,
        class_names: tuple[str, ...],
        result: dict,
        source=None,
        chosen: LabelList | None = None,
    ) -> None:
        """Writes all files, or none of them, and then removes the checkpoints."""
        with unfinished_folder(self.path.parent) as folder:
            folder.mkdir()
            write_json(folder / "settings.json", dataclasses.asdict(config))
            write_json(folder / "classes.json", list(class_names))
            write_json(folder / "result.json", result)
            with open(folder / "history.csv", "w", newline="") as file:
                writer = csv.DictWriter(file, list(trained.history[0]))
                writer.writeheader()
                writer.writerows(trained.history)
            if chosen is not None:
                write_labels(folder / "labels.csv", source, chosen)
            save_encoder(trained.classifier, folder / "classifier.keras")
            os.rename(folder, self.path)
        self._remove_checkpoints()

    def _remove_checkpoints(self) -> None:
        shutil.rmtree(self.checkpoints, ignore_errors=True)


def find_classifier(
    directory: RunDirectory, name: str | None, kinds: tuple[str, ...] = KINDS
) -> SavedClassifier:
    """Finds a finished classifier of a run.

    Args:
        directory: The run.
        name: NAME, `fine-tuned/NAME` or `distilled/NAME`; `None` for the only one there is.
        kinds: Where to look.

    Raises:
        InputError: If no classifier matches, or more than one does.
    """
    directory.read_config()
    files = [
        file
        for kind in kinds
        for file in directory.path.glob(f"{kind}/*/classifier.keras")
        if not is_unfinished(file.parent)
    ]
    known = {f"{f.parent.parent.name}/{f.parent.name}": f.parent for f in sorted(files)}
    found = [x for x in known if name in (None, x, known[x].name)]
    if len(found) == 1:
        return SavedClassifier(known[found[0]])
    problem = (
        f"more than one classifier {name or ''}" if found else f"no classifier {name or ''}"
    )
    there = ", ".join(found or known) or "none; train one with: simclr-keras fine-tune RUN"
    raise InputError(f"{directory.path} has {problem.strip()}. Name one of: {there}")
