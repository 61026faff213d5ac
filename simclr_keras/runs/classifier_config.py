"""`FineTuneConfig` and `DistillConfig`: the settings of a run's classifiers."""

import dataclasses
import pathlib

from ..classifiers.settings import FROZEN_SETTINGS, TrainingSettings
from ..distribution.cluster import LocalStrategyName
from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    SHARE,
    SHARE_OR_NONE,
    WIDTH,
    check_folder_name,
    setting,
)
from .pretrain_config import PretrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierConfig(TrainingSettings):
    """The settings that fine-tuning and distillation share."""

    run: str = setting(dataclasses.MISSING, "A run directory.", argument="RUN")
    dataset: str | None = setting(
        None,
        "Images to train on, or where the run's are now. Default: the run's.",
        panel="Data",
    )
    eval_dataset: str | None = setting(
        None, "Other data to measure on; nothing is then held out of the training images."
    )
    data_dir: str | None = setting(None, "Folder of TFDS data. Default: the run's.")
    strategy: LocalStrategyName = setting("auto", "Which devices train together.", panel="Run")
    name: str | None = setting(
        None, "Name of the classifier. Default: from labels and seed, or teacher and student."
    )

    def __post_init__(self):
        super().__post_init__()
        check_folder_name("name", self.name)

    def training(self, pretraining: PretrainConfig) -> dict:
        """The fields of `TrainingSettings`; crops and flip default to those of pretraining."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(TrainingSettings)}
        for name in ("crop_area_min", "flip", "max_bad_fraction"):
            if values[name] is None:
                values[name] = getattr(pretraining, name)
        return values


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneConfig(ClassifierConfig):
    """The settings of a fine-tuned classifier of a run; each field is a command-line flag.

    Raises:
        InputError: If a value is outside its range, or labels are chosen in more than one way.

    Example:
        >>> import simclr_keras as sk
        >>> sk.FineTuneConfig(run="runs/digits", label_fraction=0.01).folder
        'fine-tuned/1pct-seed0'

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 3.
    """

    run: str = setting(
        dataclasses.MISSING,
        "A run directory; or, with `run_dir`, a trained model such as an export.",
        argument="RUN",
    )
    run_dir: str | None = setting(
        None, "Run directory to make if RUN is a trained model.", panel="Run"
    )
    label_fraction: float | None = setting(
        None, "Share of each class whose labels are used.", SHARE, panel="Data"
    )
    labels_per_class: int | None = setting(None, "Labels to use per class.", AT_LEAST_1)
    labels: str | None = setting(
        None, "CSV file of the labels to use: path,label or index,label."
    )
    head_layers: int | None = setting(
        None,
        "Layers of the projection head to keep below the classifier; 0: none. Default: 1, or 0 with "
        "`frozen` or if the head was not trained.",
        NOT_NEGATIVE,
        panel="Network",
    )
    from_scratch: bool = setting(
        False, "The same network from random weights: the supervised baseline."
    )
    frozen: bool = setting(
        False,
        "Keep the network as it is and fit a linear classifier on its features, as linear evaluation "
        "does.",
    )
    validation_fraction: float = setting(
        0.1,
        "Share of the labels held out to choose the best step, if every class can spare one; 0: none.",
        PART,
        panel="Data",
    )

    def __post_init__(self):
        super().__post_init__()
        chosen = [
            n for n in ("label_fraction", "labels_per_class", "labels") if getattr(self, n)
        ]
        if len(chosen) > 1:
            raise InputError(
                "Choose labels in one way: `label_fraction`, `labels_per_class` or `labels`. "
                f"Received: {' and '.join(chosen)}"
            )
        if self.frozen:
            self.check_frozen("from_scratch", "validation_fraction")

    def training(self, pretraining: PretrainConfig) -> dict:
        values = super().training(pretraining)
        return {name: values[name] for name in FROZEN_SETTINGS} if self.frozen else values

    @property
    def folder(self) -> str:
        """The classifier's folder within the run: `fine-tuned/NAME`."""
        choice = "all"
        if self.label_fraction:
            choice = f"{100 * self.label_fraction:.10g}pct"
        elif self.labels_per_class:
            choice = f"{self.labels_per_class}-per-class"
        elif self.labels:
            choice = pathlib.PurePath(self.labels).stem
        start = "scratch-" if self.from_scratch else "frozen-" if self.frozen else ""
        return f"fine-tuned/{self.name or f'{start}{choice}-seed{self.seed}'}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillConfig(ClassifierConfig):
    """The settings of a distilled classifier of a run; each field is a command-line flag.

    Raises:
        InputError: If a value is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> sk.DistillConfig(run="runs/digits", teacher="1pct-seed0").student
        'pretrained'

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 2.3.
    """

    teacher: str | None = setting(
        None,
        "Name of the teacher. Default: the run's only fine-tuned classifier.",
        panel="Network",
    )
    student: str = setting(
        "pretrained",
        "Initial student: pretrained (the run's encoder), teacher (a copy of it), or an encoder "
        "name (random weights).",
    )
    student_width: float = setting(1.0, "Width multiplier of a SimCLR ResNet student.", WIDTH)
    temperature: float | None = setting(
        None,
        "Temperature of both predictions. Default: 0.1, or 1.0 if `student` is an encoder name.",
        POSITIVE,
        panel="Training",
    )
    label_weight: float = setting(
        0.0, "Weight in the loss of the labels the teacher was trained on.", SHARE_OR_NONE
    )

    def __post_init__(self):
        super().__post_init__()
        check_folder_name("teacher", self.teacher)
        if self.student_width != 1.0 and not self.student.startswith("simclr_resnet"):
            raise InputError(
                "`student_width` applies only to a SimCLR ResNet. Choose one, for example with "
                f"`student=simclr_resnet18`. Received: student_width={self.student_width:g}, "
                f"student={self.student}"
            )

    def folder_of(self, teacher: str) -> str:
        """The classifier's folder within the run: `distilled/NAME`."""
        end = "" if self.student == "pretrained" else f"-{self.student.replace(':', '-')}"
        return f"distilled/{self.name or teacher + end}"
