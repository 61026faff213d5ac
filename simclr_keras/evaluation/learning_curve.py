"""Accuracy for a growing number of labels, by closed-form ridge regression on features."""

import typing
from collections.abc import Sequence

import numpy as np

from ..seeds import generator
from .linear_probe import check_labels

_PENALTIES = np.logspace(-4, 4, 9)  # in units of the mean squared norm of the centred features


def fit_ridge_classifier(features: np.ndarray, labels: np.ndarray):
    """Fits one-vs-rest ridge regression in closed form; leave-one-out error sets the penalty.

    With centred features X `(n, D)` and targets Y `(n, C)`, +1 for the class and -1 for the rest:

        W = (X'X + a I)^-1 X'Y = X'(XX' + a I)^-1 Y

    The smaller of the two systems is decomposed once for all penalties a. The penalty with the
    lowest leave-one-out squared error is used. That error needs no refit: with
    H = X (X'X + a I)^-1 X' + 1/n it is sum_ic ((Y - HY)_ic / (1 - H_ii))^2.

    Args:
        features: floating `(n, D)`.
        labels: Integers `(n,)`, 0 or more.

    Returns:
        A fitted scikit-learn `RidgeClassifierCV`.

    Raises:
        ValueError: If a label is missing or there is only one class.
    """
    from sklearn.linear_model import RidgeClassifierCV

    features, labels = np.asarray(features, np.float32), np.asarray(labels)
    check_labels(labels)
    unit = max(float(features.var(axis=0, dtype=np.float64).sum()), 1e-12)
    return RidgeClassifierCV(alphas=unit * _PENALTIES).fit(features, labels)


def learning_curve(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    labels_per_class: Sequence[int] | None = None,
    draws: int = 5,
    seed: int = 0,
    most_labels: int = 20_000,
) -> list[dict[str, typing.Any]]:
    """Test accuracy for growing numbers of labels, to see how many are enough.

    For each number, a ridge regression (see `fit_ridge_classifier`) is fitted on that many
    labelled features of each class, or all features of a smaller class, in each of `draws`
    random draws. Within a draw, larger subsets include the smaller ones. The penalty is chosen
    by leave-one-out error on the drawn labels, never on the test part.

    Args:
        train_features: floating `(N, D)`.
        train_labels: Integers `(N,)`; -1 means unlabelled and is never drawn.
        test_features: floating `(M, D)`.
        test_labels: Integers `(M,)`.
        labels_per_class: Numbers of labels, each at least 1. Defaults to 1, 2, 5, 10, 20, 50,
            ... up to the size of the largest class.
        draws: Draws for each number, at least 1; a single one if all labels are used.
        seed: Determines the draws.
        most_labels: Most labels in total that `labels_per_class` goes up to by default; with more,
            use linear evaluation.

    Returns:
        A row for each number: `labels_per_class`, the total number of `labels`, and the
        `accuracies` of the draws with their `mean` and standard `deviation` (0 for a single
        draw).

    Raises:
        ValueError: If a number is out of range or there are fewer than two classes.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> labels = np.arange(40) % 2
        >>> features = np.eye(2)[labels] + 0.01 * np.random.default_rng(0).normal(size=(40, 2))
        >>> rows = sk.learning_curve(features, labels, features, labels)
        >>> [(row["labels_per_class"], row["mean"]) for row in rows]
        [(1, 1.0), (2, 1.0), (5, 1.0), (10, 1.0), (20, 1.0)]

    Reference:
        Hastie, Tibshirani & Friedman 2009, "The Elements of Statistical Learning", Sections
        4.2 (regression of an indicator matrix) and 7.10 (leave-one-out, equation 7.64).
    """
    train_features, train_labels = np.asarray(train_features), np.asarray(train_labels)
    if draws < 1:
        raise ValueError(f"`draws` must be at least 1. Received: draws={draws}")
    images = np.bincount(train_labels[train_labels >= 0])
    if labels_per_class is None:
        labels_per_class = _numbers_of_labels(images, most_labels)
    elif not len(labels_per_class) or min(labels_per_class) < 1:
        raise ValueError(
            f"`labels_per_class` must be at least 1. Received: {list(labels_per_class)}"
        )
    ranks = [_ranks(train_labels, generator(seed, draw)) for draw in range(draws)]
    rows = []
    for per_class in labels_per_class:
        takes_all = per_class >= images.max(initial=0)
        accuracies = []
        for rank in ranks[:1] if takes_all else ranks:
            drawn = np.flatnonzero((rank < per_class) & (train_labels >= 0))
            classifier = fit_ridge_classifier(train_features[drawn], train_labels[drawn])
            accuracies.append(float(classifier.score(test_features, test_labels)))
        rows.append(
            {
                "labels_per_class": int(per_class),
                "labels": int(np.minimum(images, per_class).sum()),
                "mean": float(np.mean(accuracies)),
                "deviation": float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else 0.0,
                "accuracies": accuracies,
            }
        )
    return rows


def _numbers_of_labels(images: np.ndarray, most_labels: int) -> list[int]:
    """1, 2, 5, ... and the size of the largest class, up to so many labels in total."""
    series = (digit * 10**power for power in range(9) for digit in (1, 2, 5))
    largest = int(images.max(initial=1))
    numbers = [n for n in series if n < largest] + [largest]
    return [n for n in numbers if np.minimum(images, n).sum() <= most_labels] or [1]


def _ranks(labels: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The position of each example `(N,)` in a random order of its class, from 0."""
    order = draw.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class
    starts = np.searchsorted(labels[order], labels[order])
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - starts
    return ranks
