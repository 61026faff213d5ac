"""`evaluate`: how good are the frozen features of a run?"""

import dataclasses
import typing

import keras
import numpy as np

from ..data.datasets import evaluation_dataset, is_same_data
from ..data.sources import ImageSource
from ..errors import InputError
from ..evaluation.classes import class_name, match_classes
from ..evaluation.features import extract_features
from ..evaluation.knn import accuracies_of, knn_hits
from ..evaluation.learning_curve import learning_curve
from ..evaluation.linear_probe import LinearProbe
from ..evaluation.metrics import classification_metrics, metrics_of_hits
from ..evaluation.sgd_linear_probe import SGDLinearProbe
from ..files import write_json
from ..plots.figures import save_learning_curve
from ..progress import progress_shown
from ..seeds import seed_of_32_bits
from .config import EvaluateConfig
from .directory import RunDirectory
from .evaluate_result import EncoderAccuracy, EvaluateResult
from .pretrain_config import PretrainConfig
from .results import check_results, record_result
from .run_images import locate_images
from .run_source import run_source
from .seen import seen_fields
from .trained_encoder import trained_encoder

_SGD_EPOCHS = 90
_KNN_NEIGHBOURS = 200  # k of the accuracy reported first; never chosen on test images
_KNN_OTHERS = (1, 5, 10, 20, 50, 100)
_KNN_TEMPERATURE = 0.1


class _Data(typing.NamedTuple):
    """The data that every encoder is measured on."""

    train: ImageSource
    test: ImageSource
    numbers: np.ndarray  # for each class of the test part, its number in the training part
    image_size: int
    run: PretrainConfig  # crops, flip and seed


@progress_shown()
def evaluate(config: EvaluateConfig) -> EvaluateResult:
    """Evaluates a run by weighted kNN and linear evaluation of its frozen features.

    Everything is fitted on the training part and measured on the test part: `train/` and
    `test/` (or `val/`) of a folder, the splits of a TFDS dataset, what the run held out, or else
    a seeded, stratified held-out fifth. If pretraining saw test images, a warning and the result
    say how many. With an `eval_dataset` nothing is held out: the probes learn from the whole
    training part and are measured on the other data's test part, or on all of that data if it has
    none. Every test image counts once, and nothing is chosen on test images. Classes are matched
    by name; the test part may lack some. See docs/evaluation.md for the methods.

    Args:
        config: The settings.

    Returns:
        An `EvaluateResult`, also written to `RUN/evaluation.json` and, with the command, to
        `RUN/results.json`: `knn_accuracy`, `linear_accuracy` and `linear_sgd_accuracy`, with
        the `classification_metrics` of each in `knn` and `linear`.

    Raises:
        InputError: If there is no finished run or checkpoint, the data has no labels, or the
            test part has classes without training images.
        RunFailure: If `results.json` is not a list of results.

    Example:
        >>> import simclr_keras as sk
        >>> result = sk.evaluate(sk.EvaluateConfig("runs/digits"))
        >>> result.test_images, result.classes, 0 <= result.knn_accuracy <= 1
        (360, 10, True)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.3 and Appendix B.6.
    """
    trained = trained_encoder(config)
    if trained.directory:
        check_results(trained.directory)
        run, other = locate_images(trained.directory, config.dataset)
        dataset = other or run.dataset
    elif config.dataset is None:
        raise InputError(
            "Without a run, a labelled dataset to evaluate on is needed: name one with `dataset`. "
            f"Received: {config.official or config.run}"
        )
    else:  # exports and checkpoints have no run settings: use the defaults
        dataset = config.dataset
        run = PretrainConfig(dataset=dataset, run_dir="none")
    eval_dataset = config.eval_dataset or dataset
    hold_out = is_same_data(dataset, eval_dataset)
    train, test = (
        run_source(run, split, name, config.data_dir, trained.directory, hold_out)
        for split, name in (("train", dataset), ("test", eval_dataset))
    )
    data = _Data(train, test, match_classes(train, test), trained.image_size, run)
    measured, tested = np.unique(train.labels), np.unique(data.numbers[test.labels])
    result = EvaluateResult(
        dataset=dataset,
        eval_dataset=eval_dataset,
        train_images=len(train),
        test_images=len(test),
        classes=len(measured),
        classes_without_test_images=[
            class_name(train, label) for label in np.setdiff1d(measured, tested)
        ],
        knn_neighbours=min(_KNN_NEIGHBOURS, len(train)),
        knn_temperature=_KNN_TEMPERATURE,
        **seen_fields(trained.directory, run, test, eval_dataset),
        **_measure(trained.encoder, data, config),
    )
    if config.compare_random:
        keras.utils.set_random_seed(seed_of_32_bits(run.seed))
        random_encoder = keras.models.clone_model(trained.encoder)
        accuracy = EncoderAccuracy(**_measure(random_encoder, data, config))
        result = dataclasses.replace(result, random_encoder=accuracy)
    return _written(trained.directory, result) if trained.directory else result


def _measure(encoder: keras.Model, data: _Data, config: EvaluateConfig) -> dict:
    """The fields of `EncoderAccuracy`."""
    train, test, numbers, image_size, run = data
    (train_features, train_labels), (test_features, test_labels) = (
        extract_features(encoder, evaluation_dataset(source, image_size, config.batch_size))
        for source in (train, test)
    )
    test_labels = numbers[test_labels]
    features = (train_features, train_labels, test_features, test_labels)
    knn = _measure_knn(*features, train.class_names)
    results = {"knn_accuracy": knn["top_1"], "knn": knn, "linear": {}}

    def metrics(probe) -> dict:
        scores = probe.scores(test_features)
        return classification_metrics(scores, test_labels, probe.classes_, train.class_names)

    if config.protocol in ("lbfgs", "both"):
        probe = LinearProbe(seed=run.seed).fit(train_features, train_labels)
        found = {
            **metrics(probe),
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
            **metrics(sgd),
            "epochs": sgd.epochs,
            "batch_size": min(sgd.batch_size, len(train)),
            "learning_rate": sgd.learning_rate,
        }
        results["linear"]["sgd"] = found
        results["linear_sgd_accuracy"] = found["top_1"]
    if config.learning_curve:
        results["learning_curve"] = learning_curve(*features, seed=run.seed)
    return results


def _measure_knn(train_features, train_labels, test_features, test_labels, class_names) -> dict:
    """The metrics at `_KNN_NEIGHBOURS`, and the accuracies at every k."""
    most = min(_KNN_NEIGHBOURS, len(train_labels))
    hits = knn_hits(
        train_features,
        train_labels,
        test_features,
        test_labels,
        k=[*(k for k in _KNN_OTHERS if k < most), most],
        temperature=_KNN_TEMPERATURE,
    )
    return {
        **metrics_of_hits(hits[most][0], test_labels, class_names, hits[most][1]),
        "by_neighbours": {str(k): accuracies_of(found) for k, found in hits.items()},
    }


def _written(directory: RunDirectory, result: EvaluateResult) -> EvaluateResult:
    """Writes the result, and the picture that is then part of it."""
    if result.learning_curve is not None:
        curves = {"SimCLR": result.learning_curve}
        if result.random_encoder is not None and result.random_encoder.learning_curve:
            curves["random weights"] = result.random_encoder.learning_curve
        picture = save_learning_curve(
            directory.report / "learning_curve.png",
            curves,
            result.linear_accuracy,
            result.train_images,
        )
        result = dataclasses.replace(result, learning_curve_picture=picture)
    write_json(directory.evaluation_file, result.to_dict())
    record_result(directory, "evaluate", result.to_dict())
    return result
