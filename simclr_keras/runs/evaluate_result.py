"""What `evaluate` returns."""

import dataclasses
import pathlib
import typing

from ..result import Result
from .measured_images import MeasuredImages


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatedData(MeasuredImages):
    """What `evaluate` measured on: see also `MeasuredImages`.

    Attributes:
        dataset: The data of the training part.
        eval_dataset: The data of the test part.
        train_images: Images of the training part.
        classes: Classes of the training part.
        classes_without_test_images: Their names.
        knn_neighbours: k of `knn_accuracy`.
        knn_temperature: Temperature of the votes of the neighbours.
    """

    dataset: str
    eval_dataset: str
    train_images: int
    classes: int
    classes_without_test_images: list[str]
    knn_neighbours: int
    knn_temperature: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderAccuracy(Result):
    """How good the features of one encoder are; `None` is what was not measured.

    Attributes:
        knn_accuracy: Accuracy of weighted kNN.
        knn: Its `classification_metrics`, and as `by_neighbours` the accuracies for other k.
        linear: `"lbfgs"` or `"sgd"` (the protocol) -> the `classification_metrics` of linear
            evaluation and how it was fitted.
        linear_accuracy: Accuracy of linear evaluation by L-BFGS.
        linear_strength: Its regularisation strength.
        linear_sgd_accuracy: Accuracy of linear evaluation by SGD on random crops.
        learning_curve: The rows of `learning_curve`.
    """

    knn_accuracy: float
    knn: dict[str, typing.Any]
    linear: dict[str, dict[str, typing.Any]]
    linear_accuracy: float | None = None
    linear_strength: float | None = None
    linear_sgd_accuracy: float | None = None
    learning_curve: list[dict[str, typing.Any]] | None = None


# The fields of the last base class come first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateResult(EncoderAccuracy, EvaluatedData):
    """What `evaluate` measured: see `EvaluatedData` and `EncoderAccuracy`.

    Attributes:
        random_encoder: The same encoder with random weights, if it was measured.
        learning_curve_picture: The plot of the learning curve, if there is one.
    """

    random_encoder: EncoderAccuracy | None = None
    learning_curve_picture: pathlib.Path | None = None
