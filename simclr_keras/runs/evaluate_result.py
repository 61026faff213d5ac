"""What `evaluate` returns."""

import dataclasses
import pathlib
import typing

from ..evaluation.paired import Difference
from ..evaluation.verdict import Evidence
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison(Result):
    """Another encoder, measured on the same images and labels.

    Attributes:
        name: As in `compare`.
        title: For people.
        image_size: Height and width of the images it got, in pixels.
        test_images_seen: How many test images it was trained on; `None` if that is not known.
        measured: Its accuracies on all test images.
        accuracies: `"knn"`, `"linear"` or `"linear_sgd"` -> its accuracy on the test images without
            near-duplicates.
        gains: By the same names: how much more accurate the evaluated encoder is on those images.
        label_curve: The rows of `learning_curve` on those images; with several draws the row has a
            `gain` too, that of the evaluated encoder with the same labels.
    """

    name: str
    title: str
    image_size: int
    test_images_seen: int | None
    measured: EncoderAccuracy
    accuracies: dict[str, float]
    gains: dict[str, Difference]
    label_curve: list[dict[str, typing.Any]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict(Result):
    """What comparisons say about an encoder.

    Attributes:
        sentence: In one sentence.
        evidence: What it is based on.
        near_duplicates: Test images that look like a training image, which were left out.
        equal_images: How many of them have the pixels of one.
        rule: What counts as a near-duplicate.
        near_duplicate_places: Of up to 100 of them, the index of the test image and that of the
            training image.
        accuracies: `"knn"`, `"linear"` or `"linear_sgd"` -> accuracy on the other test images.
        label_curve: The rows of `learning_curve` on those.
        not_compared: What could not be had -> why.
    """

    sentence: str
    evidence: Evidence | None
    near_duplicates: int
    equal_images: int
    rule: str
    near_duplicate_places: list[list[int]]
    accuracies: dict[str, float]
    label_curve: list[dict[str, typing.Any]]
    not_compared: dict[str, str]


# The fields of the last base class come first.
@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateResult(EncoderAccuracy, EvaluatedData):
    """What `evaluate` measured: see `EvaluatedData` and `EncoderAccuracy`.

    Attributes:
        random_encoder: The same encoder with random weights, if it was measured.
        comparisons: The encoders of `compare`.
        verdict: What they say.
        learning_curve_picture: The plot of the learning curve, if there is one.
        unreadable: Images that could not be read and were left out, name -> why; `None` for none.
        page: The page of the run, see `report`; `None` if it has none. Not in `evaluation.json`.
    """

    random_encoder: EncoderAccuracy | None = None
    comparisons: list[Comparison] | None = None
    verdict: Verdict | None = None
    learning_curve_picture: pathlib.Path | None = None
    unreadable: dict[str, str] | None = None
    page: pathlib.Path | None = None
