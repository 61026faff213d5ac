"""`conclude`: what a comparison of two representations says, in one sentence."""

import dataclasses
import typing
from collections.abc import Sequence

import numpy as np

from ..result import Result
from .paired import Difference, difference_of_hits, mean_difference, slope, with_sampling

_USUAL_LABELS = 10  # per class, for which the sentence says how many labels are saved
_NEGLIGIBLE = 0.005  # of accuracy, for each doubling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence(Result):
    """What a verdict is based on.

    Attributes:
        baseline: The best of what the representation was compared with.
        images: Test images that both were measured on.
        accuracy: Linear accuracy of the representation.
        baseline_accuracy: That of the baseline.
        gain: Their paired difference.
        labels_per_class: A number of labels with which the representation is better; `None` if
            there is none: see `labels_saved`.
        baseline_labels: How many labels per class the baseline needs to be as good; `None` if it
            never is.
        most_labels: The most labels per class that the baseline was measured with.
        more_labels: What each doubling of the labels adds to the accuracy; `None` if not known.
        more_pretraining: What each doubling of the steps adds to the accuracy of kNN; `None` if not
            known.
    """

    baseline: str
    images: int
    accuracy: float
    baseline_accuracy: float
    gain: Difference
    labels_per_class: int | None = None
    baseline_labels: float | None = None
    most_labels: int | None = None
    more_labels: Difference | None = None
    more_pretraining: Difference | None = None


def conclude(evidence: Evidence) -> str:
    """One sentence for people who do not read tables.

    It says what the representation gains over the baseline, how many labels that saves, and whether
    more labels or longer pretraining would help more. What the intervals leave open "cannot be
    told".
    """
    clauses = [_gain(evidence), _labels_saved(evidence), _what_helps(evidence)]
    return f"{'; '.join(clause for clause in clauses if clause)}."


def _gain(found: Evidence) -> str:
    gain, low, high = (100 * x for x in (found.gain.mean, found.gain.low, found.gain.high))
    right = (
        f"A linear classifier on these features is right on {100 * found.accuracy:.1f} % of "
        f"{found.images:,} new images"
    )
    if found.gain.low > 0:
        return (
            f"{right}, {gain:.1f} points more than on {found.baseline} (95 % interval {low:.1f} to "
            f"{high:.1f})"
        )
    if found.gain.high < 0:
        return (
            f"{right}, {-gain:.1f} points less than on {found.baseline} (95 % interval {-high:.1f} "
            f"to {-low:.1f})"
        )
    if not _leaves_room(found.baseline_accuracy, found.images):
        return (
            f"{right}, but {found.baseline} with {100 * found.baseline_accuracy:.1f} % leave nothing "
            "to gain that so few images could show"
        )
    return (
        f"{right}, and no difference from {found.baseline} can be told ({gain:+.1f} points, 95 % "
        f"interval {low:+.1f} to {high:+.1f})"
    )


def _labels_saved(found: Evidence) -> str | None:
    if found.labels_per_class is None:
        return None
    plural = "" if found.labels_per_class == 1 else "s"
    own = f"with {found.labels_per_class:,} label{plural} per class"
    if found.baseline_labels is None:
        return f"{own} they are better than {found.baseline} with {found.most_labels:,}"
    return (
        f"{own} they are as good as {found.baseline} with {_rounded(found.baseline_labels):,}"
    )


def _what_helps(found: Evidence) -> str:
    labels, pretraining = found.more_labels, found.more_pretraining
    if not _leaves_room(found.accuracy, found.images):
        return "neither more labels nor longer pretraining is needed"
    if labels and pretraining:
        if labels.low > max(0, pretraining.high):
            return "more labels would help more than longer pretraining"
        if pretraining.low > max(0, labels.high):
            return "longer pretraining would help more than more labels"
        if max(labels.high, pretraining.high) < _NEGLIGIBLE:
            return "neither more labels nor longer pretraining would help much"
    return "whether more labels or longer pretraining would help more cannot be told"


def _leaves_room(accuracy: float, images: int) -> bool:
    """Whether a classifier without errors would be seen to be better."""
    wrong = np.arange(images) < round((1 - accuracy) * images)
    return difference_of_hits(np.ones(images, bool), ~wrong).low > 0


def _rounded(number: float) -> int:
    """A number to two digits: more would be noise."""
    return round(float(f"{number:.2g}"))


def labels_saved(
    rows: Sequence[dict[str, typing.Any]], baseline_rows: Sequence[dict[str, typing.Any]]
) -> tuple[int, float | None] | None:
    """With how many labels per class a baseline is as good as a representation with fewer.

    Of the numbers with which the representation is better (the interval of the paired draws does
    not include 0), 10 or the largest below is used, else the smallest. The baseline's mean is taken
    to grow linearly with the logarithm of the number of labels from one row to the next.

    Args:
        rows: Of `learning_curve`.
        baseline_rows: The same for the baseline, with the same draws.

    Returns:
        The number of labels, and that of the baseline, `None` if it is never as good; `None` if
        there is no number with which the representation is better, or one with which it is worse.
    """
    gains = [gain_of_draws(*pair) for pair in zip(rows, baseline_rows, strict=True)]
    better = [row for row, gain in zip(rows, gains) if gain and gain.low > 0]
    if not better or any(gain and gain.high < 0 for gain in gains):
        return None
    usual = [row for row in better if row["labels_per_class"] <= _USUAL_LABELS]
    row = usual[-1] if usual else better[0]
    labels, target = row["labels_per_class"], row["mean"]
    numbers = [other["labels_per_class"] for other in baseline_rows]
    means = [other["mean"] for other in baseline_rows]
    for place in range(1, len(means)):
        if means[place - 1] < target <= means[place]:
            between = means[place - 1 : place + 1]
            logarithms = np.log(numbers[place - 1 : place + 1])
            needed = float(np.exp(np.interp(target, between, logarithms)))
            if needed > labels:
                return labels, needed
    return labels, None


def gain_of_draws(
    row: dict[str, typing.Any], baseline: dict[str, typing.Any]
) -> Difference | None:
    """The paired difference of two rows of `learning_curve`; `None` with a single draw."""
    if len(row["accuracies"]) < 2:
        return None
    return mean_difference(np.subtract(row["accuracies"], baseline["accuracies"]))


def label_slope(rows: Sequence[dict[str, typing.Any]], images: int) -> Difference | None:
    """What a doubling of the labels adds, from half of the most labels that were drawn to all.

    Larger sets of labels include the smaller ones of the same draw, so their differences are paired.

    Args:
        rows: Of `learning_curve`.
        images: Test images.

    Returns:
        The accuracy added for each doubling; `None` if no row has at most half of the labels of the
        last one, and several draws.
    """
    last = rows[-1]
    before = [
        row
        for row in rows
        if 2 * row["labels_per_class"] <= last["labels_per_class"]
        and len(row["accuracies"]) > 1
    ]
    if not before:
        return None
    doublings = np.log2(last["labels_per_class"] / before[-1]["labels_per_class"])
    added = np.subtract(
        last["accuracies"], before[-1]["accuracies"]
    )  # the last may be one draw
    return with_sampling(mean_difference(added / doublings), images, doublings)


def pretraining_slope(
    steps: Sequence[int], accuracies: Sequence[float], images: int
) -> Difference | None:
    """What a doubling of the steps added to the accuracy of kNN in the last half of a run.

    Args:
        steps: At which it was measured, in order.
        accuracies: Of the same length.
        images: Test images, about.

    Returns:
        The slope of accuracy over log2(step); `None` with fewer than four measurements.
    """
    late = [(step, a) for step, a in zip(steps, accuracies) if step and 2 * step >= steps[-1]]
    if not late:
        return None
    found = slope(np.log2([step for step, _ in late]), np.array([a for _, a in late]))
    return with_sampling(found, images) if found else None
