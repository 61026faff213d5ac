"""Weighted nearest-neighbour classification of frozen features."""

import numpy as np


def knn_predict(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    k: int = 200,
    temperature: float = 0.1,
) -> np.ndarray:
    """Classifies each test feature by the votes of its k nearest training features.

    A neighbour at cosine similarity s votes for its class with exp(s / temperature); the class
    with most votes wins, the lower label when two are equal.

    Args:
        train_features: floating `(N, D)`; any length, they are normalised here.
        train_labels: Integers `(N,)`, 0 or more.
        test_features: floating `(M, D)`.
        k: Number of neighbours, at least 1; all N when there are fewer.
        temperature: Positive.

    Returns:
        Labels `(M,)`.

    Raises:
        ValueError: If a label is missing, shapes do not fit, or a number is out of range.

    Reference:
        Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance
        Discrimination", https://arxiv.org/abs/1805.01978, Section 3.4.
    """
    from sklearn.neighbors import NearestNeighbors

    train_labels = np.asarray(train_labels)
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}")
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    if len(train_labels) != len(train_features):
        raise ValueError(
            "`train_labels` needs one label for each of `train_features`. Received: "
            f"{len(train_labels)} labels, {len(train_features)} features"
        )
    if (train_labels < 0).any():
        raise ValueError(
            "kNN needs a label for every training feature; leave out those without. Received: "
            f"{int((train_labels < 0).sum())} labels of -1"
        )
    search = NearestNeighbors(n_neighbors=min(k, len(train_labels)), algorithm="brute")
    search.fit(_normalised(train_features))
    distances, neighbours = search.kneighbors(_normalised(test_features))  # (M, k)
    # Between unit vectors |a - b|^2 = 2 - 2 cos: the nearest are the most similar.
    similarities = 1.0 - np.square(distances, dtype=np.float64) / 2.0
    weights = np.exp((similarities - similarities[:, :1]) / temperature)
    votes = np.zeros((len(neighbours), int(train_labels.max()) + 1))
    rows = np.arange(len(neighbours))[:, None]
    np.add.at(votes, (rows, train_labels[neighbours]), weights)
    return votes.argmax(axis=1)


def knn_accuracy(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Share of test features that `knn_predict` classifies rightly.

    Args:
        train_features: floating `(N, D)`.
        train_labels: Integers `(N,)`, 0 or more.
        test_features: floating `(M, D)`.
        test_labels: Integers `(M,)`; a class that training does not have counts as a miss.
        k: Number of neighbours.
        temperature: Positive.

    Returns:
        Accuracy in [0, 1].

    Raises:
        ValueError: See `knn_predict`.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> train = np.array([[1.0, 0.0], [0.0, 1.0]])
        >>> sk.knn_accuracy(train, [0, 1], np.array([[0.9, 0.1], [0.2, 0.9]]), [0, 0], k=1)
        0.5

    Reference:
        Wu et al. 2018, https://arxiv.org/abs/1805.01978, Section 3.4.
    """
    predictions = knn_predict(train_features, train_labels, test_features, k, temperature)
    return float((predictions == np.asarray(test_labels)).mean())


def _normalised(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
