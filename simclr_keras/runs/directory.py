"""`RunDirectory`: the files of a run, each written atomically."""

import dataclasses
import os
import typing

import keras

from ..data.datasets import is_folder, is_same_data, real_folder
from ..data.parts import write_held_out
from ..data.sources import ImageSource
from ..errors import InputError, RunFailure
from ..files import is_unfinished, write_json
from ..keras_versions import KERAS_3
from ..local_copies import folder_here
from ..networks.projection_head import ProjectionHead
from ..networks.saved_encoder import load_encoder, load_projection_head, save_encoder
from ..training.run_rows import read_history
from .file_sizes import FileSizes
from .pretrain_config import PretrainConfig
from .run_lock import LOCK_FILE
from .setting_sources import parse_settings, read_settings

_GENERATION = 3 if KERAS_3 else 2
# May differ when a run is continued: they do not change its result.
_FREE_SETTINGS = (
    "run_dir",
    "data_dir",
    "strategy",
    "sources",
    "profile",
    "max_bad_fraction",
    "report",
)
_OF_TRAINING = ("checkpoints/ckpt-*", "tensorboard/*")  # what only `pretrain` needs
_LENGTHS = ("epochs", "steps", "minutes")  # may be raised; see `run_length`
_RESTORE = "Restore the file from a copy, or choose another `run_dir` to begin again."


class RunDirectory:
    """Paths and files of one run.

    Args:
        path: The folder, which need not exist yet; of a remote one, the local copy is used.
        to_train: Whether its checkpoints are needed too.
    """

    def __init__(self, path: str | os.PathLike, to_train: bool = False):
        self.path = folder_here(path, without=() if to_train else _OF_TRAINING)
        self.config_file = self.path / "config.json"
        self.images_file = self.path / "images.json"  # of a folder; see `run_images.py`
        self.held_out_file = self.path / "held_out.csv"  # if anything is; see `run_source.py`
        self.history_file = self.path / "history.csv"
        self.monitor_file = self.path / "monitor.csv"  # see `monitor.py`
        self.evaluation_file = self.path / "evaluation.json"
        self.results_file = self.path / "results.json"
        self.encoder_file = self.path / "encoder.keras"
        self.projection_head_file = self.path / "projection_head.keras"
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self.report = self.path / "report"
        self.page = self.report / "index.html"
        self.pictures_file = self.report / "pictures.json"  # see `report_pictures.py`

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
        if self.is_begun:
            begun, asked = deciding_settings(self.read_config()), deciding_settings(config)
            if self._may_hold_the_images(config.dataset):
                asked["dataset"] = begun["dataset"]
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
        if self.path.exists() and (not self.path.is_dir() or self._holds_something_else()):
            raise InputError(f"{self.path} exists but is not a run. Choose another `run_dir`.")

    def check_nothing_is_lost(self) -> None:
        """Raises a `RunFailure` if the run has a history, but no longer a checkpoint."""
        rows = read_history(self.history_file)
        if len(rows) > 1:  # the first row is written before the first checkpoint
            raise RunFailure(
                f"The run in {self.path} has a history up to step {rows[-1]['step']}, but there is "
                f"no checkpoint in {self.checkpoints}. Restore that folder from a copy to continue, "
                "or remove the run directory to begin again."
            )

    def _holds_something_else(self) -> bool:
        # A run that was killed while it began has its list only, or half of its settings.
        known = {self.held_out_file.name, LOCK_FILE}
        return any(
            path.name not in known and not is_unfinished(path) for path in self.path.iterdir()
        )

    def _may_hold_the_images(self, dataset: str) -> bool:
        """Whether a name refers to the run's folder, or to one whose files are still to compare."""
        folder = self.read_folder()
        if folder is None:
            return False
        if self.images_file.exists():
            return is_folder(dataset)
        return is_same_data(dataset, folder)

    @property
    def is_begun(self) -> bool:
        """Whether the run's settings and its list of held-out images are written."""
        return self.config_file.exists()

    def begin(
        self,
        config: PretrainConfig,
        image_sizes: FileSizes | None = None,
        held_out: ImageSource | None = None,
        **chosen: int | str | None,
    ) -> None:
        """Checks the settings as `check` does and writes them, if the run is new.

        Of a run that goes on only the place of its images is written, if they were moved.

        Args:
            config: The settings.
            image_sizes: Of images in files, the size of each; see `run_images.image_sizes`.
            held_out: The images that pretraining must not see.
            **chosen: What the run chose, to be kept: `total_steps`, its length (see `run_length`);
                `interval`, steps between its checkpoints; `precision`, if it is automatic.
        """
        self.check(config)
        is_new = not self.is_begun
        if is_new and held_out is not None:  # first: without it, a begun run holds nothing out
            write_held_out(self.held_out_file, held_out)
        elif is_new:
            self.held_out_file.unlink(missing_ok=True)
        new = {**dataclasses.asdict(config), **chosen}
        settings = new if is_new else self._read()
        place = {}
        if is_folder(config.dataset):
            place = {"dataset_folder": real_folder(config.dataset)}
        write_json(self.config_file, {**settings, "keras_generation": _GENERATION, **place})
        if is_new and image_sizes is not None:
            image_sizes.write(self.images_file)

    def read_total_steps(self, steps_per_epoch: int) -> int | None:
        """The length of the run; `None` if there is no run here yet.

        Args:
            steps_per_epoch: Steps in one pass over the data.
        """
        if not self.is_begun:
            return None
        kept = self._read().get("total_steps")  # an earlier version did not keep it
        return self.read_config().total_steps(steps_per_epoch) if kept is None else kept

    def read_chosen(self, name: str) -> typing.Any:
        """What the run chose when it began; `None` if there is no run, or it did not choose."""
        return self._read().get(name) if self.is_begun else None

    def keep_length(self, total_steps: int) -> None:
        """Writes down a length that a budget has changed."""
        write_json(self.config_file, {**self._read(), "total_steps": total_steps})

    def keep_call(
        self,
        call: dict,
        source: ImageSource,
        held_out: ImageSource | None,
        repeated_images: float = 0.0,
    ) -> None:
        """Writes down what trains the run from now on, and on what; its page shows them.

        Args:
            call: The `environment`, and the step that this call begins at.
            source: The images that it trains on.
            held_out: Those that it must not see; `None` for none.
            repeated_images: Share of the images that occur more than once.
        """
        settings = self._read()
        new = {
            "calls": [*settings.get("calls", []), call],
            "counts": {
                "images": len(source),
                "held_out": 0 if held_out is None else len(held_out),
                "classes": len(source.class_names) if source.has_labels else 0,
            },
            "repeated_images": repeated_images,
        }
        write_json(self.config_file, {**settings, **new})

    def raise_length(self, config: PretrainConfig, total_steps: int, made: int) -> None:
        """Makes a run longer; networks of a finished one are kept beside the new ones.

        Args:
            config: Settings with the new length.
            total_steps: The new length.
            made: Steps made so far.
        """
        for file in (self.encoder_file, self.projection_head_file):
            if file.exists():
                file.rename(file.with_stem(f"{file.stem}_{made}_steps"))
        settings = self._read()
        raised = {"at_step": made, "from": settings.get("total_steps"), "to": total_steps}
        lengths = {name: getattr(config, name) for name in _LENGTHS}
        sources = settings.get("sources", {})
        for name in _LENGTHS:
            sources.pop(name, None)
            if name in config.sources:
                sources[name] = config.sources[name]
        kept = {
            "sources": sources,
            "total_steps": total_steps,
            "raised": [*settings.get("raised", []), raised],
        }
        write_json(self.config_file, {**settings, **lengths, **kept})

    def read_config(self) -> PretrainConfig:
        """The settings of the run.

        Raises:
            InputError: If there is no run here, or its settings were damaged.
            RunFailure: If the other Keras generation wrote it.
        """
        settings = self._read()
        generation = settings["keras_generation"]
        if generation != _GENERATION:
            raise RunFailure(
                f"{self.path} was written with Keras {generation}, but this is Keras "
                f"{keras.__version__}: a run directory works only with the Keras generation that "
                "wrote it. Use the environment that wrote it; exported SavedModels work in both."
            )
        return self._checked(_config_in, settings.get("sources", {}))

    def read_folder(self) -> str | None:
        """The folder of the run's images when it was last trained; `None` for other data."""
        folder = self._read().get("dataset_folder")
        if folder is None and is_folder(dataset := self.read_config().dataset):
            return real_folder(dataset)  # begun by an earlier version
        return folder

    def _read(self) -> dict:
        if not self.is_begun:
            raise InputError(
                f"There is no run in {self.path} (no config.json). Begin one with: "
                f"simclr-keras pretrain --dataset DATA --run-dir {self.path}"
            )
        settings = self._checked(parse_settings)
        if not isinstance(settings, dict) or "keras_generation" not in settings:
            raise InputError(
                f"{self.config_file} does not hold the settings of a run. {_RESTORE}"
            )
        return settings

    def _checked(self, read: typing.Callable, *arguments):
        """What a function reads from `config.json`; its errors say what to do."""
        try:
            return read(str(self.config_file), *arguments)
        except InputError as error:
            raise InputError(
                f"The settings in {self.config_file} are damaged: {error}. {_RESTORE}"
            ) from None

    def save_networks(
        self, encoder: keras.Model, projection_head: ProjectionHead | None
    ) -> None:
        """Writes `projection_head.keras`, then `encoder.keras`, which marks the run finished."""
        if projection_head is not None:
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
                f"The run in {self.path} has no projection_head.keras. If it holds trained weights "
                "that came without one, set `head_layers=0`. Otherwise it is not finished, or an "
                "earlier version of this package finished it: remove its encoder.keras, if there "
                "is one, and repeat its pretrain command; it continues from the last checkpoint "
                "and writes both."
            )
        return load_projection_head(self.projection_head_file)


def _config_in(file: str, sources: dict[str, str]) -> PretrainConfig:
    settings = read_settings(file, PretrainConfig)
    required = [f.name for f in dataclasses.fields(PretrainConfig) if _is_required(f)]
    if missing := [name for name in required if name not in settings]:
        raise InputError(f"{file} lacks {' and '.join(missing)}")
    return PretrainConfig(**settings, sources=sources)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def deciding_settings(config: PretrainConfig) -> dict:
    """The settings that determine a run's result: all but its folders, devices and length."""
    left_out = (*_FREE_SETTINGS, *_LENGTHS)
    settings = dataclasses.asdict(config)
    return {name: value for name, value in settings.items() if name not in left_out}
