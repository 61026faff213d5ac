"""`measure_encoder`: the accuracies of one frozen encoder, and which test images it gets right."""

import typing

import keras
import numpy as np

from ..data.bad_images import BadImages
from ..data.sources import ImageSource
from ..evaluation.features import readable_features
from ..evaluation.knn import accuracies_of, knn_hits
from ..evaluation.learning_curve import learning_curve
from ..evaluation.linear_probe import LinearProbe
from ..evaluation.metrics import classification_metrics, is_among_best, metrics_of_hits
from ..evaluation.sgd_linear_probe import SGDLinearProbe
from .config import EvaluateConfig
from .evaluate_result import EncoderAccuracy
from .pretrain_config import PretrainConfig

KNN_NEIGHBOURS = 200  # k of the accuracy reported first; never chosen on test images
KNN_TEMPERATURE = 0.1
_KNN_OTHERS = (1, 5, 10, 20, 50, 100)
_SGD_EPOCHS = 90


class MeasuredData(typing.NamedTuple):
    """The data that every encoder is measured on."""

    train: ImageSource
    test: ImageSource
    numbers: np.ndarray  # for each class of the test part, its number in the training part
    run: PretrainConfig  # crops, flip and seed
    bad: BadImages  # counts images that cannot be read


class MeasuredEncoder(typing.NamedTuple):
    """What was measured.

    Attributes:
        accuracy: The accuracies.
        hits: `"knn"`, `"linear"` or `"linear_sgd"` -> bool `(M,)`: which test images are right.
        features: Training features and labels, test features and labels.
        data: What it was measured on: without images that cannot be read.
    """

    accuracy: EncoderAccuracy
    hits: dict[str, np.ndarray]
    features: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    data: MeasuredData


def measure_encoder(
    encoder: keras.Model, image_size: int, data: MeasuredData, config: EvaluateConfig
) -> MeasuredEncoder:
    """Measures kNN and linear evaluation, and the learning curve if it is wanted.

    Args:
        encoder: Images in [0, 1] to features.
        image_size: Height and width of the images that it gets, in pixels.
        data: What to measure on.
        config: How.
    """
    (train_features, train), (test_features, test) = (
        readable_features(encoder, source, image_size, config.batch_size, data.bad)
        for source in (data.train, data.test)
    )
    run, train_labels, test_labels = data.run, train.labels, data.numbers[test.labels]
    features = (train_features, train_labels, test_features, test_labels)
    knn, knn_right = _knn(features, train.class_names)
    hits: dict[str, np.ndarray] = {"knn": knn_right}
    results: dict[str, typing.Any] = {"knn_accuracy": knn["top_1"], "knn": knn, "linear": {}}

    def metrics(probe, name: str) -> dict:
        scores, classes = probe.scores(test_features), probe.classes_
        hits[name] = is_among_best(scores, test_labels, classes, 1)
        return classification_metrics(scores, test_labels, classes, train.class_names)

    if config.protocol in ("lbfgs", "both"):
        probe = LinearProbe(seed=run.seed).fit(train_features, train_labels)
        found = {
            **metrics(probe, "linear"),
            "strength": probe.strength_,
            "strength_source": probe.strength_source,
        }
        results["linear"]["lbfgs"] = found
        results["linear_accuracy"] = found["top_1"]
        results["linear_strength"] = found["strength"]
    if config.protocol in ("sgd", "both"):
        sgd = SGDLinearProbe(
            encoder,
            image_size,
            epochs=config.epochs or _SGD_EPOCHS,
            batch_size=config.batch_size,
            crop_area=(run.crop_area_min, 1.0),
            flip=run.flip,
            seed=run.seed,
        ).fit(train)
        found = {
            **metrics(sgd, "linear_sgd"),
            "epochs": sgd.epochs,
            "batch_size": min(sgd.batch_size, len(train)),
            "learning_rate": sgd.learning_rate,
        }
        results["linear"]["sgd"] = found
        results["linear_sgd_accuracy"] = found["top_1"]
    if config.learning_curve:
        results["learning_curve"] = learning_curve(*features, seed=run.seed)
    readable = data._replace(train=train, test=test)
    return MeasuredEncoder(EncoderAccuracy(**results), hits, features, readable)


def _knn(features, class_names) -> tuple[dict, np.ndarray]:
    """The metrics at `KNN_NEIGHBOURS` with the accuracies at every k; and which images are right."""
    train_features, train_labels, test_features, test_labels = features
    most = min(KNN_NEIGHBOURS, len(train_labels))
    hits = knn_hits(
        train_features,
        train_labels,
        test_features,
        test_labels,
        k=[*(k for k in _KNN_OTHERS if k < most), most],
        temperature=KNN_TEMPERATURE,
    )
    right, top_5 = hits[most]
    return {
        **metrics_of_hits(right, test_labels, class_names, top_5),
        "by_neighbours": {str(k): accuracies_of(found) for k, found in hits.items()},
    }, right
