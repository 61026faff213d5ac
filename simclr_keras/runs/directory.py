"""`RunDirectory`: the files of a run, each written atomically."""

import dataclasses
import json
import os
import pathlib

import keras

from ..errors import InputError, RunFailure
from ..files import write_json
from ..keras_versions import KERAS_3
from ..networks.projection_head import ProjectionHead
from ..networks.saved_encoder import load_encoder, load_projection_head, save_encoder
from ..settings import without_idle_epochs
from .config import DEFAULT_EPOCHS, PretrainConfig

_GENERATION = 3 if KERAS_3 else 2
# May differ when a run is continued: they do not change its result.
_FREE_SETTINGS = ("run_dir", "data_dir", "strategy")


class RunDirectory:
    """Paths and files of one run.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.config_file = self.path / "config.json"
        self.history_file = self.path / "history.csv"
        self.evaluation_file = self.path / "evaluation.json"
        self.results_file = self.path / "results.json"
        self.encoder_file = self.path / "encoder.keras"
        self.projection_head_file = self.path / "projection_head.keras"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.report = self.path / "report"

    @property
    def is_finished(self) -> bool:
        """Whether pretraining has finished: the encoder is written last."""
        return self.encoder_file.exists()

    def check(self, config: PretrainConfig) -> None:
        """Raises an error if a run with these settings cannot begin or continue here.

        Writes nothing.

        Raises:
            InputError: If the folder holds something else, or a run with other settings.
            RunFailure: If the run was written by the other Keras generation.
        """
        if self.config_file.exists():
            begun, asked = deciding_settings(self.read_config()), deciding_settings(config)
            different = [
                f"{name}={begun[name]} (now {asked[name]})"
                for name in asked
                if begun[name] != asked[name]
            ]
            if different:
                raise InputError(
                    f"{self.path} holds a run with other settings: {', '.join(different)}. "
                    "Repeat its command to continue it, or choose another `run_dir`."
                )
            return
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise InputError(f"{self.path} exists but is not a run. Choose another `run_dir`.")

    def begin(self, config: PretrainConfig) -> None:
        """Checks the settings as `check` does and, for a new run, writes them."""
        self.check(config)
        if self.config_file.exists():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        settings = {**dataclasses.asdict(config), "keras_generation": _GENERATION}
        write_json(self.config_file, settings)

    def read_config(self) -> PretrainConfig:
        """The settings of the run.

        Raises:
            InputError: If there is no run here.
            RunFailure: If the other Keras generation wrote it.
        """
        if not self.config_file.exists():
            raise InputError(
                f"There is no run in {self.path} (no config.json). Begin one with: "
                f"simclr-keras pretrain --dataset DATA --run-dir {self.path}"
            )
        settings = json.loads(self.config_file.read_text())
        generation = settings.pop("keras_generation")
        if generation != _GENERATION:
            raise RunFailure(
                f"{self.path} was written with Keras {generation}, but this is Keras "
                f"{keras.__version__}: a run directory works only with the Keras generation that "
                "wrote it. Use the environment that wrote it; exported SavedModels work in both."
            )
        return PretrainConfig(**without_idle_epochs(settings))

    def save_networks(self, encoder: keras.Model, projection_head: ProjectionHead) -> None:
        """Writes `projection_head.keras`, then `encoder.keras`, which marks the run finished."""
        head = projection_head.as_model(encoder.output_shape[-1])
        save_encoder(head, self.projection_head_file)
        save_encoder(encoder, self.encoder_file)

    def load_encoder(self) -> keras.Model:
        """The pretrained encoder.

        Raises:
            InputError: If there is no run here, or it is not finished.
            RunFailure: If the other Keras generation wrote it.
        """
        self.read_config()
        if not self.is_finished:
            raise InputError(
                f"The run in {self.path} is not finished (no encoder.keras). Repeat its "
                "pretrain command to continue it."
            )
        return load_encoder(self.encoder_file)

    def load_projection_head(self) -> ProjectionHead:
        """The projection head that was trained with the encoder.

        Raises:
            InputError: If there is no run here, it is not finished, or it was finished before
                runs saved their projection heads.
            RunFailure: If the other Keras generation wrote it.
        """
        self.read_config()
        if not self.projection_head_file.exists():
            raise InputError(
                f"The run in {self.path} has no projection_head.keras: it is not finished, or an "
                "earlier version of this package finished it. Remove its encoder.keras, if there "
                "is one, and repeat its pretrain command: it continues from the last checkpoint "
                "and writes both."
            )
        return load_projection_head(self.projection_head_file)


def deciding_settings(config: PretrainConfig) -> dict:
    """The settings that determine a run's result: all but its folders and devices."""
    settings = dataclasses.asdict(config)
    if config.steps is None and config.epochs is None:
        settings["epochs"] = DEFAULT_EPOCHS  # as if it were given
    return {name: value for name, value in settings.items() if name not in _FREE_SETTINGS}
