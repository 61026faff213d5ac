"""Weighted nearest-neighbour classification of frozen features."""

from collections.abc import Iterator, Sequence

import numpy as np

from .metrics import is_among_best
from .nearest import nearest

_VOTES_BLOCK = 2**22  # most votes (queries * classes) in memory at a time: 32 MB


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Top-1 accuracy of weighted k-nearest-neighbour classification.

    A neighbour at cosine similarity s votes for its class with weight exp(s / temperature). The
    class with the most votes wins; ties go to the lower label.

    Args:
        train_features: floating `(N, D)`; L2-normalised internally.
        train_labels: Integers `(N,)`, 0 or more.
        test_features: floating `(M, D)`.
        test_labels: Integers `(M,)`; a class without training features counts as a miss.
        k: Number of neighbours, at least 1; capped at N.
        temperature: Positive.

    Returns:
        Share of the test features that are classified correctly, in [0, 1].

    Raises:
        ValueError: If a label is missing, shapes do not match, or a number is out of range.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> train = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> sk.knn_accuracy(train, [0, 1], np.array([[0.9, 0.1], [0.2, 0.9]]), [0, 0], k=1)
        0.5

    Reference:
        Wu et al. 2018, https://arxiv.org/abs/1805.01978, Section 3.4.
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}")
    hits = knn_hits(train_features, train_labels, test_features, test_labels, [k], temperature)
    return float(hits[k][0].mean())


def knn_accuracies(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: Sequence[int] = (1, 5, 20, 200),
    temperature: float = 0.1,
) -> dict[int, dict[str, float]]:
    """Top-1 and top-5 accuracy of weighted kNN for several k, from one search.

    The search is exact. Besides the features it keeps one block of similarities and the
    M * max(k) neighbours in memory, regardless of N: see docs/evaluation.md.

    Args:
        train_features: floating `(N, D)`.
        train_labels: Integers `(N,)`, 0 or more.
        test_features: floating `(M, D)`.
        test_labels: Integers `(M,)`; a class without training features counts as a miss.
        k: Numbers of neighbours, each at least 1 and capped at N.
        temperature: Positive.

    Returns:
        For each k, `top_1` and, with 6 or more classes, `top_5`. A class without votes is never
        among the five.

    Raises:
        ValueError: As `knn_accuracy`.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> train, test = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]]), np.array([[1.0, 0.0]])
        >>> sk.knn_accuracies(train, [0, 1, 1], test, [1], k=(1, 3), temperature=1.0)
        {1: {'top_1': 0.0}, 3: {'top_1': 1.0}}

    Reference:
        Wu et al. 2018, https://arxiv.org/abs/1805.01978, Section 3.4.
    """
    hits = knn_hits(train_features, train_labels, test_features, test_labels, k, temperature)
    return {number: accuracies_of(found) for number, found in hits.items()}


def accuracies_of(hits: tuple[np.ndarray, np.ndarray | None]) -> dict[str, float]:
    """`top_1` and, if there is one, `top_5` accuracy from the hits of `knn_hits` for one k."""
    named = zip(("top_1", "top_5"), hits)
    return {name: float(found.mean()) for name, found in named if found is not None}


def knn_hits(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: Sequence[int],
    temperature: float,
) -> dict[int, tuple[np.ndarray, np.ndarray | None]]:
    """For each k, whether each test feature is a top-1 and a top-5 hit: bool `(M,)` each."""
    test_labels = np.asarray(test_labels)
    if test_labels.shape != (len(test_features),):
        raise ValueError(
            "`test_labels` needs one label for each of `test_features`. Received: "
            f"{len(test_labels)} labels, {len(test_features)} features"
        )
    if not len(k) or min(k) < 1:
        raise ValueError(f"`k` must be one or more numbers, each at least 1. Received: k={k}")
    classes, neighbours = _search(
        train_features, train_labels, test_features, max(k), temperature
    )
    hits = {}
    for number in k:
        found = [
            (
                is_among_best(votes, test_labels[rows], classes, 1),
                is_among_best(votes, test_labels[rows], classes, 5),
            )
            for rows, votes in _votes(classes, neighbours, number, temperature)
        ]
        top_1, top_5 = (np.concatenate(parts) for parts in zip(*found))
        hits[number] = (top_1, top_5 if len(classes) > 5 else None)
    return hits


def _search(train_features, train_labels, test_features, k, temperature):
    """The classes, and cosines and class indices `(M, k)` of the neighbours, nearest first."""
    train_labels = np.asarray(train_labels)
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    if len(train_labels) != len(train_features):
        raise ValueError(
            "`train_labels` needs one label for each of `train_features`. Received: "
            f"{len(train_labels)} labels, {len(train_features)} features"
        )
    if not len(train_labels) or not len(test_features):
        raise ValueError(
            "kNN needs training and test features. Received: "
            f"{len(train_labels)} and {len(test_features)}"
        )
    if (train_labels < 0).any():
        raise ValueError(
            "kNN needs a label for every training feature; remove those without one. Received: "
            f"{int((train_labels < 0).sum())} labels of -1"
        )
    classes, numbers = np.unique(train_labels, return_inverse=True)
    places, cosines = nearest(test_features, np.asarray(train_features), k)
    return classes, (cosines, numbers.astype(np.int32)[places])


def _votes(classes, neighbours, k: int, temperature: float) -> Iterator[tuple]:
    """Yields slices of test rows and their votes `(m, C)` from the k nearest, -inf for none."""
    cosines, numbers = (x[:, :k] for x in neighbours)
    size = max(1, _VOTES_BLOCK // len(classes))
    for start in range(0, len(cosines), size):
        rows = slice(start, start + size)
        similar = cosines[rows].astype(np.float64)
        weights = np.exp((similar - similar[:, :1]) / temperature)
        votes = np.zeros((len(weights), len(classes)))
        np.add.at(votes, (np.arange(len(weights))[:, None], numbers[rows]), weights)
        yield rows, np.where(votes > 0, votes, -np.inf)
