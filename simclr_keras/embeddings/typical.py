"""`choose_typical`: which images to label next, diverse and representative ones."""

import numpy as np

from ..evaluation.nearest import nearest
from .clusters import k_means

_MOST_CLUSTERS = 500
_NEIGHBOURS = 20  # whose mean distance says how typical an image is
_SMALL = 5  # images; a smaller cluster is chosen from last


def choose_typical(
    vectors: np.ndarray, count: int, labelled: np.ndarray, allowed: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Chooses images to label: the most typical one of each cluster without a label (TypiClust).

    All images are clustered by k-means into as many clusters as there will be labels, at most
    500. The next image is the most typical allowed one of the cluster that has fewest labels,
    of those the largest; typicality is 1 / (mean distance to the 20 nearest images of the
    cluster). Clusters of fewer than 5 images come last.

    Args:
        vectors: float32 `(N, D)` of length 1.
        count: How many to choose; at most the allowed images without a label.
        labelled: bool `(N,)`: images that have a label, or will have one.
        allowed: bool `(N,)`: images that may be chosen.
        seed: Decides the first centres of k-means.

    Returns:
        int64 `(count,)` indices, the most useful first.

    Raises:
        ValueError: If fewer than `count` images can be chosen.

    Reference:
        Hacohen, Dekel & Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit
        High and Low Budgets", https://arxiv.org/abs/2202.02794, Section 3.2.
    """
    free = allowed & ~labelled
    if count > free.sum():
        raise ValueError(
            f"`count` must be at most {free.sum()}, the images that can be chosen. Received: "
            f"count={count}"
        )
    wanted = min(int(labelled.sum()) + count, _MOST_CLUSTERS, len(vectors))
    cluster = k_means(vectors, wanted, seed).labels_
    sizes = np.bincount(cluster)
    labels = np.bincount(cluster[labelled], minlength=len(sizes))
    queues = [
        _by_typicality(vectors, np.flatnonzero(cluster == k), free) for k in range(len(sizes))
    ]
    chosen = []
    for _ in range(count):
        left = [k for k, queue in enumerate(queues) if queue]
        best = min(left, key=lambda k: (sizes[k] < _SMALL, labels[k], -sizes[k]))
        chosen.append(queues[best].pop())
        labels[best] += 1
    return np.array(chosen, np.int64)


def _by_typicality(vectors: np.ndarray, members: np.ndarray, free: np.ndarray) -> list[int]:
    """The free images of a cluster, the most typical last."""
    candidates = members[free[members]]
    if not len(candidates):
        return []
    _, cosines = nearest(vectors[candidates], vectors[members], _NEIGHBOURS + 1)
    distances = np.sqrt(np.maximum(2 - 2 * cosines[:, 1:], 0))  # the first is the image itself
    mean = distances.mean(axis=1) if distances.shape[1] else np.zeros(len(candidates))
    return candidates[np.argsort(-mean, kind="stable")].tolist()
