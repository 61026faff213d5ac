"""`choose_representative`: which images to label next, diverse and representative ones."""

import numpy as np

from ..evaluation.nearest import unit_vectors
from .clusters import k_means
from .projection import principal_components

_MOST_CLUSTERS = 500
_SMALL = 5  # images; a smaller cluster is chosen from last


def choose_representative(
    vectors: np.ndarray, count: int, labelled: np.ndarray, allowed: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Chooses images to label: the most central one of each cluster without a label.

    All images are clustered by k-means, on the directions of their 50 principal components, into
    as many clusters as there will be labels, at most 500. The next image is the allowed one
    nearest to the centre of the cluster that has fewest labels, of those the largest. Clusters
    of fewer than 5 images come last.

    Args:
        vectors: float32 `(N, D)` of length 1.
        count: How many to choose; at most the allowed images without a label.
        labelled: bool `(N,)`: images that have a label, or will have one.
        allowed: bool `(N,)`: images that may be chosen.
        seed: Decides the first centres of k-means, and of many images a sample for the components.

    Returns:
        int64 `(count,)` indices, the most useful first.

    Raises:
        ValueError: If fewer than `count` images can be chosen.

    Reference:
        Hacohen, Dekel & Weinshall 2022, "Active Learning on a Budget: Opposite Strategies Suit
        High and Low Budgets", https://arxiv.org/abs/2202.02794, Section 3.2, whose clusters these
        are; of a cluster it takes the image in the densest place. benchmarks/selection.py
        compares the two.
    """
    free = allowed & ~labelled
    if count > free.sum():
        raise ValueError(
            f"`count` must be at most {free.sum()}, the images that can be chosen. Received: "
            f"count={count}"
        )
    points = unit_vectors(principal_components(vectors, seed))
    wanted = min(int(labelled.sum()) + count, _MOST_CLUSTERS, len(points))
    means = k_means(points, wanted, seed)
    cluster = means.labels_
    sizes = np.bincount(cluster, minlength=wanted)
    labels = np.bincount(cluster[labelled], minlength=wanted)
    queues = []
    for number, centre in enumerate(means.cluster_centers_):
        members = np.flatnonzero((cluster == number) & free)
        distances = np.square(points[members] - centre).sum(axis=1)
        queues.append(members[np.argsort(-distances, kind="stable")].tolist())  # nearest last
    chosen = []
    for _ in range(count):
        left = [number for number, queue in enumerate(queues) if queue]
        best = min(left, key=lambda k: (sizes[k] < _SMALL, labels[k], -sizes[k]))
        chosen.append(queues[best].pop())
        labels[best] += 1
    return np.array(chosen, np.int64)
