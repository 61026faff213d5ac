"""What `fine_tune_run` and `distill_run` return."""

import dataclasses
import pathlib
import typing

from ..result import Result
from .measured_images import MeasuredImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingResult(MeasuredImages):
    """How a classifier was trained, and how accurate it is: see also `MeasuredImages`.

    Attributes:
        seed: The seed.
        steps: Steps of the training; `None`, like the three that follow, on frozen features.
        batch_size: Images per step.
        optimizer: The optimizer.
        learning_rate: Its peak learning rate.
        best_step: The step whose weights were kept.
        validation_accuracy: Accuracy on the validation part at that step; `None` without one.
        test_accuracy: Accuracy on them; `None` without any.
        test: The `classification_metrics` on them; `None` without any.
        page: The page of the run, see `report`; `None` if it has none. Not in `result.json`.
    """

    seed: int
    steps: int | None
    batch_size: int | None
    optimizer: str | None
    learning_rate: float | None
    best_step: int
    validation_accuracy: float | None
    test_accuracy: float | None
    test: dict[str, typing.Any] | None
    page: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTunedOn(Result):
    """What a classifier was fine-tuned on.

    Attributes:
        classifier: Its folder in the run: `fine-tuned/NAME`.
        dataset: The data of the training part.
        eval_dataset: The data of the test part.
        labels: The number of labels used.
        classes: The number of classes.
        label_fraction: The setting of this name.
        labels_per_class: The setting of this name.
        from_scratch: Whether training began with random weights.
        head_layers: Layers of the projection head that the classifier begins with.
        frozen: Whether only the classifier was fitted.
    """

    classifier: str
    dataset: str
    eval_dataset: str
    labels: int
    classes: int
    label_fraction: float | None
    labels_per_class: int | None
    from_scratch: bool
    head_layers: int
    frozen: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistilledOn(Result):
    """What a student was trained on.

    Attributes:
        classifier: Its folder in the run: `distilled/NAME`.
        teacher: The name of the teacher.
        student: The setting of this name.
        parameters: The number of the student's parameters.
        dataset: The data of the training part.
        eval_dataset: The data of the test part.
        images: Images of the training part.
        temperature: Temperature of the teacher's predictions.
        label_weight: Weight of the labels in the loss.
    """

    classifier: str
    teacher: str
    student: str
    parameters: int
    dataset: str
    eval_dataset: str
    images: int
    temperature: float
    label_weight: float


# The fields of the last base class come first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class FineTuneResult(TrainingResult, FineTunedOn):
    """What `fine_tune_run` did: see `FineTunedOn` and `TrainingResult`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillResult(TrainingResult, DistilledOn):
    """What `distill_run` did: see `DistilledOn` and `TrainingResult`."""
