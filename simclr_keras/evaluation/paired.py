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
    from scipy import stats

    first, second = np.asarray(hits, bool), np.asarray(other_hits, bool)
    count = len(first)
    gained, lost = int((first & ~second).sum()), int((second & ~first).sum())
    p, q = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    margin = stats.norm.ppf((1 + _CONFIDENCE) / 2) * np.sqrt(
        (p + q - (p - q) ** 2) / (count + 2)
    )
    return Difference(
        (gained - lost) / count,
        max(-1.0, float(p - q - margin)),
        min(1.0, float(p - q + margin)),
    )


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
    line = stats.linregress(x, y)
    return _around(line.slope, stats.t.ppf((1 + _CONFIDENCE) / 2, len(x) - 2) * line.stderr)


def _around(mean: float, margin: float) -> Difference:
    return Difference(float(mean), float(mean - margin), float(mean + margin))
