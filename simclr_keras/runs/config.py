"""The settings of the commands on trained encoders, the only place where their defaults are set."""

import dataclasses
from dataclasses import MISSING
from typing import Literal

from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    IMAGE_SIZE,
    Settings,
    WeightsDtype,
    check_place,
    check_value,
    setting,
)


@dataclasses.dataclass(frozen=True)
class TrainedConfig(Settings):
    """Selects a trained encoder: a run's, an exported one, or one of the original release.

    Raises:
        InputError: If not exactly one of `run` and `official` is given, or `image_size` is given
            with a run or an export.
    """

    run: str | None = setting(
        None,
        "A run directory, an export or a .keras file (or use `official`).",
        argument="RUN",
    )
    official: str | None = setting(
        None, "A checkpoint of the original SimCLR release, instead of a run."
    )
    image_size: int | None = setting(
        None,
        "Image size for `official` (default: 224, or 32 with a small-image stem) or a .keras file.",
        IMAGE_SIZE,
    )

    def __post_init__(self):
        super().__post_init__()
        if (self.run is None) == (self.official is None):
            raise InputError(
                "Name either a run directory or, with `official`, a checkpoint of the original "
                f"release. Received: run={self.run}, official={self.official}"
            )
        is_file = str(self.run).endswith(".keras")
        if self.run is not None and self.image_size is not None and not is_file:
            raise InputError(
                "`image_size` applies only to `official` and .keras files: runs and exports store "
                f"theirs. Received: image_size={self.image_size}, run={self.run}"
            )


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(TrainedConfig):
    """What `evaluate` measures, and on what.

    Raises:
        InputError: If a value is outside its range, or `epochs` is given without the SGD
            protocol.

    Example:
        >>> import simclr_keras as sk
        >>> sk.EvaluateConfig("runs/digits", protocol="both").epochs is None
        True

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.6 (linear evaluation).
    """

    dataset: str | None = setting(
        None, "Labelled data, or where the run's images are now. Default: the run's."
    )
    eval_dataset: str | None = setting(
        None, "Other data to measure on; nothing is then held out of `dataset`."
    )
    data_dir: str | None = setting(None, "Folder of TFDS data. Default: the run's.")
    batch_size: int = setting(
        256, "Images per forward pass, and per step of the SGD protocol.", AT_LEAST_1
    )
    compare: list[str] | str | None = setting(
        None,
        "Also measure other encoders on the same images and labels, and say what this one gains: "
        "random, pixels, imagenet, official:PATH, run:PATH or the path of a model; several with "
        "commas.",
    )
    compare_random: bool = setting(False, "Earlier name of `compare=random`.")
    protocol: Literal["lbfgs", "sgd", "both"] = setting(
        "lbfgs", "Linear evaluation: lbfgs on features, sgd on random crops, or both."
    )
    epochs: int | None = setting(
        None, "Epochs of the SGD protocol. Default: 90, as in the paper.", AT_LEAST_1
    )
    learning_curve: bool = setting(
        False, "Also measure and plot the accuracy by number of labels."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.epochs is not None and self.protocol == "lbfgs":
            raise InputError(
                "`epochs` applies only to the SGD protocol; L-BFGS runs until it converges. Leave "
                f"it out, or choose `protocol=sgd` or `protocol=both`. Received: epochs={self.epochs}"
            )
        for name in self.comparisons:
            check_value("compare", name)
            check_place("compare", name.partition(":")[2] if _has_prefix(name) else name)

    @property
    def comparisons(self) -> list[str]:
        """The names in `compare`, each once."""
        given = [self.compare] if isinstance(self.compare, str) else self.compare or []
        names = [name.strip() for text in given for name in text.split(",")]
        return list(dict.fromkeys([*(["random"] if self.compare_random else []), *names]))


def _has_prefix(name: str) -> bool:
    return name.startswith(("official:", "run:"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(TrainedConfig):
    """What `export` writes.

    Raises:
        InputError: If a value is outside its range, or cannot be combined with `classifier`.

    Example:
        >>> import simclr_keras as sk
        >>> sk.ExportConfig("runs/digits", output="saved_models/digits").weights_dtype
        'float32'

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """

    output: str = setting(MISSING, "Folder of the model: saved_models/NAME.")
    classifier: str | None = setting(
        None, "Name of a fine-tuned or distilled classifier of the run, instead of its encoder."
    )
    version: int | None = setting(
        None, "Version number. Default: the next free one.", AT_LEAST_1
    )
    l2_normalise: bool = setting(False, "L2-normalise the embeddings.")
    weights_dtype: WeightsDtype = setting(
        "float32", "float32; or float16 or bfloat16: half the size, for serving only."
    )
    licence: str | None = setting(None, "Licence of the weights, kept in metadata.json.")

    def __post_init__(self):
        if self.classifier is not None:
            self._check_classifier()
        super().__post_init__()

    def _check_classifier(self):
        if self.official is not None or self.image_size is not None or self.l2_normalise:
            raise InputError(
                "`classifier` exports a run's classifier, which serves probabilities: leave out "
                f"`official`, `image_size` and `l2_normalise`. Received: classifier={self.classifier}"
            )
        if self.run is None:
            raise InputError(
                f"`classifier` needs a run directory. Received: classifier={self.classifier}"
            )


@dataclasses.dataclass(frozen=True)
class ReportConfig(Settings):
    """The run whose pictures `report` draws.

    Example:
        >>> import simclr_keras as sk
        >>> sk.ReportConfig("runs/digits").run
        'runs/digits'

    Reference:
        See `report`.
    """

    run: str = setting(MISSING, "A run directory.", argument="RUN")
    dataset: str | None = setting(
        None, "Where the run's images are now. Default: where they were."
    )
    data_dir: str | None = setting(None, "Folder of TFDS data. Default: the run's.")


@dataclasses.dataclass(frozen=True)
class QuickstartConfig(Settings):
    """Where the quickstart writes.

    Example:
        >>> import simclr_keras as sk
        >>> sk.QuickstartConfig().run_dir
        'runs/digits'

    Reference:
        See `quickstart`.
    """

    run_dir: str = setting("runs/digits", "Run directory; a finished run is not trained again.")
    output: str = setting("saved_models/digits", "Folder of the exported model.")
