"""`compare`: what an encoder gains over others, on the same test images and labels."""

import logging
import pathlib
import typing
from collections.abc import Mapping

import numpy as np

from ..data.near_duplicates import RULE, copies_among
from ..data.sources import ImageSource
from ..evaluation.learning_curve import learning_curve
from ..evaluation.paired import difference_of_hits
from ..evaluation.verdict import (
    Evidence,
    conclude,
    gain_of_draws,
    label_slope,
    labels_saved,
    pretraining_slope,
)
from ..training.measurement import Measurement
from ..training.run_rows import read_history
from .config import EvaluateConfig
from .directory import RunDirectory
from .evaluate_result import Comparison, Verdict
from .measure_encoder import MeasuredData, MeasuredEncoder, measure_encoder
from .seen import count_seen, placed_settings
from .trained_encoder import TrainedEncoder

_LOGGER = logging.getLogger("simclr_keras")
_UNTRAINED = ("random", "pixels")
_TITLES = {"random": "random weights", "imagenet": "ImageNet weights"}
_MOST_LABELS = 10_000  # of the curves: more take minutes
_NAMED_DUPLICATES = 100
_NOTHING = (
    "There is nothing to compare with, or no test image without a near-duplicate to compare on."
)


def compare(
    measured: MeasuredEncoder,
    trained: TrainedEncoder,
    others: Mapping[str, TrainedEncoder],
    not_compared: dict[str, str],
    data: MeasuredData,
    config: EvaluateConfig,
    eval_dataset: str,
) -> tuple[list[Comparison], Verdict]:
    """Measures other encoders as the evaluated one was, and compares them.

    Test images that look like a training image are left out of the comparison: a classifier may
    know their labels by heart.

    Args:
        measured: What was measured of the evaluated encoder.
        trained: That encoder.
        others: The others, by name.
        not_compared: What could not be had, and why.
        data: What `measured` was measured on.
        config: The settings.
        eval_dataset: The name of the data of the test part.

    Returns:
        What was measured of the others, and what follows.
    """
    copies = copies_among(data.test, data.train, trained.image_size)
    kept = np.setdiff1d(np.arange(len(data.test)), copies.places)
    comparisons: list[Comparison] = []
    own_curve: list[dict] = []
    evidence = None
    if len(kept):
        own_curve = _label_curve(measured, kept, data.run.seed)
        comparisons = [
            _compared(measured, own_curve, name, other, kept, data, config, eval_dataset)
            for name, other in others.items()
        ]
        if comparisons:
            evidence = _evidence(own_curve, measured, comparisons, kept, trained.directory)
    accuracies = _accuracies(measured, kept)
    return comparisons, Verdict(
        sentence=conclude(evidence) if evidence else _NOTHING,
        evidence=evidence,
        near_duplicates=len(copies.places),
        equal_images=int(copies.exact.sum()),
        rule=RULE,
        near_duplicate_places=np.stack(copies[:2], axis=1)[:_NAMED_DUPLICATES].tolist(),
        accuracies=accuracies,
        label_curve=own_curve,
        not_compared=not_compared,
    )


def _compared(
    measured: MeasuredEncoder,
    own_curve: list[dict],
    name: str,
    other: TrainedEncoder,
    kept: np.ndarray,
    data: MeasuredData,
    config: EvaluateConfig,
    eval_dataset: str,
) -> Comparison:
    """Measures another encoder on the same images and labels."""
    found = measure_encoder(other.encoder, other.image_size, data, config)
    rows = _label_curve(found, kept, data.run.seed)
    gains = map(gain_of_draws, own_curve, rows)
    return Comparison(
        name=name,
        title=_title(name),
        image_size=other.image_size,
        test_images_seen=_seen(other, data.test, eval_dataset, name),
        measured=found.accuracy,
        accuracies=_accuracies(found, kept),
        gains={
            kind: difference_of_hits(hits[kept], found.hits[kind][kept])
            for kind, hits in measured.hits.items()
        },
        label_curve=[
            {**row, **({"gain": gain} if gain else {})}
            for row, gain in zip(rows, gains, strict=True)
        ],
    )


def _title(name: str) -> str:
    """A name for people: of a path, its end."""
    prefix, colon, path = name.rpartition(":")
    return _TITLES.get(name, f"{prefix}{colon}{pathlib.PurePath(path).name}")


def _label_curve(measured: MeasuredEncoder, kept: np.ndarray, seed: int) -> list[dict]:
    train, train_labels, test, test_labels = measured.features
    return learning_curve(
        train, train_labels, test[kept], test_labels[kept], seed=seed, most_labels=_MOST_LABELS
    )


def _accuracies(measured: MeasuredEncoder, kept: np.ndarray) -> dict[str, float]:
    """The accuracies on the test images that were kept; none if there are none."""
    return {kind: float(hits[kept].mean()) for kind, hits in measured.hits.items() if len(kept)}


def _seen(other: TrainedEncoder, test: ImageSource, name: str, title: str) -> int | None:
    """How many test images another encoder was trained on; says so. `None`: not known."""
    if other.directory is None:
        return 0 if title in _UNTRAINED else None
    count = count_seen(other.directory, placed_settings(other.directory), test, name)
    if count:
        _LOGGER.warning(
            "%s was pretrained on %d of the %d test images.", title, count, len(test)
        )
    return count


def _evidence(
    own_curve: list[dict],
    measured: MeasuredEncoder,
    comparisons: list[Comparison],
    kept: np.ndarray,
    directory: RunDirectory | None,
) -> Evidence:
    """What the verdict is based on: the best of the others, by linear evaluation."""
    kind = "linear" if "linear" in measured.hits else "linear_sgd"
    best = max(comparisons, key=lambda comparison: comparison.accuracies[kind])
    saved = labels_saved(own_curve, best.label_curve)
    rows = read_history(directory.monitor_file) if directory else []
    late = [m for m in map(Measurement.from_row, rows) if m.knn_accuracy is not None]
    return Evidence(
        baseline=best.title,
        images=len(kept),
        accuracy=_accuracies(measured, kept)[kind],
        baseline_accuracy=best.accuracies[kind],
        gain=best.gains[kind],
        labels_per_class=saved and saved[0],
        baseline_labels=saved and saved[1],
        most_labels=best.label_curve[-1]["labels_per_class"],
        more_labels=label_slope(own_curve, len(kept)),
        more_pretraining=pretraining_slope(
            [m.step for m in late],
            [typing.cast(float, m.knn_accuracy) for m in late],
            late[-1].images if late else 0,
        ),
    )
