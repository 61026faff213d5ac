"""95 % intervals of differences that are measured on the same images, or in the same draws."""

import dataclasses

import numpy as np

from ..result import Result

_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Difference(Result):
    """A difference, and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def difference_of_hits(hits: np.ndarray, other_hits: np.ndarray) -> Difference:
    """How much more accurate one classifier is than another, on the same test images.

    With b images that only the first gets right, c that only the second does, and M in total:

        mean = (b - c) / M
        p = (b + 1) / (M + 2),  q = (c + 1) / (M + 2)
        low, high = p - q -+ z sqrt((p + q - (p - q)^2) / (M + 2))

    Images that both get right or wrong do not widen the interval. It covers chance in the choice of
    test images, not in training.

    Args:
        hits: bool `(M,)`: whether the first classifier is right.
        other_hits: bool `(M,)`: whether the second one is.

    Returns:
        The difference of the accuracies, in [-1, 1].

    Reference:
        Bonett & Price 2012, "Adjusted Wald confidence interval for a difference of binomial
        proportions based on paired data".
    """
    first, second = np.asarray(hits, bool), np.asarray(other_hits, bool)
    return _of_counts(int((first & ~second).sum()), int((second & ~first).sum()), len(first))


def _of_counts(gained: int, lost: int, count: int) -> Difference:
    from scipy import stats

    p, q = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    z = stats.norm.ppf((1 + _CONFIDENCE) / 2)
    margin = z * np.sqrt((p + q - (p - q) ** 2) / (count + 2))
    return Difference(
        (gained - lost) / count,
        max(-1.0, float(p - q - margin)),
        min(1.0, float(p - q + margin)),
    )


def with_sampling(found: Difference, images: int, doublings: float = 1.0) -> Difference:
    """Widens the interval of a slope by the least that the choice of test images can matter.

    That is the margin of `difference_of_hits` if no image were lost. Without it, accuracies on few
    images that happen to be equal would have a slope that is known exactly.

    Args:
        found: The slope, for each doubling, with the interval of its draws.
        images: Test images.
        doublings: Between the two ends of the slope.
    """
    sampled = _of_counts(round(abs(found.mean) * doublings * images), 0, images)
    of_sample = (sampled.high - sampled.low) / 2 / doublings
    return _around(found.mean, np.hypot(found.high - found.mean, of_sample))


def mean_difference(differences: np.ndarray) -> Difference:
    """The mean of differences of paired draws, with Student's t interval.

    Args:
        differences: floating `(n,)`, n at least 2.
    """
    from scipy import stats

    differences = np.asarray(differences, float)
    margin = stats.t.ppf((1 + _CONFIDENCE) / 2, len(differences) - 1) * stats.sem(differences)
    return _around(differences.mean(), margin)


def slope(x: np.ndarray, y: np.ndarray) -> Difference | None:
    """The slope of the least-squares line through points, with Student's t interval.

    Args:
        x: floating `(n,)`.
        y: floating `(n,)`.

    Returns:
        The slope; `None` if fewer than four different x leave too little to judge the spread by.
    """
    from scipy import stats

    if len(np.unique(x)) < 4:
        return None
    centred = x - np.mean(x)
    square = centred @ centred
    found = centred @ y / square
    rest = y - np.mean(y) - found * centred
    error = np.sqrt(
        rest @ rest / (len(x) - 2) / square
    )  # `linregress` has none if all y are equal
    return _around(found, stats.t.ppf((1 + _CONFIDENCE) / 2, len(x) - 2) * error)


def _around(mean: float, margin: float) -> Difference:
    return Difference(float(mean), float(mean - margin), float(mean + margin))
