"""`evaluate`: how good are the frozen features of a run?"""

import dataclasses

import numpy as np

from ..data.bad_images import BadImages
from ..data.datasets import is_same_data
from ..errors import InputError, nothing_written
from ..evaluation.classes import class_name, match_classes
from ..files import write_json
from ..local_copies import in_store, with_local_copies
from ..plots.figures import save_learning_curve
from ..progress import progress_shown
from .compare import compare
from .comparisons import load_comparisons
from .config import EvaluateConfig
from .directory import RunDirectory
from .evaluate_result import EvaluateResult
from .measure_encoder import (
    KNN_NEIGHBOURS,
    KNN_TEMPERATURE,
    MeasuredData,
    measure_encoder,
)
from .pretrain_config import PretrainConfig
from .report_page import refresh_page
from .results import check_results, record_result
from .run_images import locate_images
from .run_source import run_source
from .seen import seen_fields
from .trained_encoder import trained_encoder


@progress_shown()
@with_local_copies
def evaluate(config: EvaluateConfig) -> EvaluateResult:
    """Evaluates a run by weighted kNN and linear evaluation of its frozen features.

    Everything is fitted on the training part and measured on the test part: `train/` and
    `test/` (or `val/`) of a folder, the splits of a TFDS dataset, what the run held out, or else
    a seeded, stratified held-out fifth. If pretraining saw test images, a warning and the result
    say how many. With an `eval_dataset` nothing is held out: the probes learn from the whole
    training part and are measured on the other data's test part, or on all of that data if it has
    none. Every test image counts once, and nothing is chosen on test images. Classes are matched
    by name; the test part may lack some. See docs/evaluation.md for the methods.

    With `compare`, other encoders are measured on the same images and labels: `comparisons` holds
    what the run's encoder gains over each, with paired intervals, on the test images that do not
    look like a training image; `verdict.sentence` says it in words.

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
    directory, result = _evaluated(config)
    return _written(directory, result) if directory else result


@nothing_written()
def _evaluated(config: EvaluateConfig) -> tuple[RunDirectory | None, EvaluateResult]:
    """The run, if it is one, and the result."""
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
    bad = BadImages(len(train) + len(test), run.max_bad_fraction)
    data = MeasuredData(train, test, match_classes(train, test), run, bad)
    names = config.comparisons
    others, not_compared = load_comparisons(names, trained, run, train.channels)
    found = measure_encoder(trained.encoder, trained.image_size, data, config)
    data = found.data  # without images that cannot be read
    train, test = data.train, data.test
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
        knn_neighbours=min(KNN_NEIGHBOURS, len(train)),
        knn_temperature=KNN_TEMPERATURE,
        **seen_fields(trained.directory, run, test, eval_dataset),
        **vars(found.accuracy),
        unreadable=bad.reasons or None,
    )
    if names:
        comparisons, verdict = compare(
            found, trained, others, not_compared, data, config, eval_dataset
        )
        random = [each.measured for each in comparisons if each.name == "random"]
        result = dataclasses.replace(
            result,
            random_encoder=random[0] if random else None,
            comparisons=comparisons,
            verdict=verdict,
        )
    return trained.directory, result


def _written(directory: RunDirectory, result: EvaluateResult) -> EvaluateResult:
    """Writes the result, the picture that is part of it, and the page that shows it."""
    if result.learning_curve is not None:
        curves = {"SimCLR": result.learning_curve}
        for other in result.comparisons or []:
            if other.measured.learning_curve:
                curves[other.title] = other.measured.learning_curve
        picture = save_learning_curve(
            directory.report / "learning_curve.png",
            curves,
            result.linear_accuracy,
            result.train_images,
        )
        result = dataclasses.replace(result, learning_curve_picture=picture)
    result = in_store(result)
    write_json(directory.evaluation_file, result.to_dict())
    record_result(directory, "evaluate", result.to_dict())
    return dataclasses.replace(result, page=refresh_page(directory))
