"""Groups of similar images, images unlike all others, and groups of near-duplicates."""

import warnings

import numpy as np

from ..checks.groups import groups_of
from ..evaluation.nearest import nearest
from ..seeds import seed_of_32_bits
from .projection import sample

_CANDIDATES = (4, 6, 8, 10, 12, 16, 20, 24, 32, 40)
_MANY = 100_000  # images
_JUDGED = 2_000  # images whose silhouettes choose the number: each is compared with each


def cluster(points: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Clusters by k-means; the number is that with the best silhouette, unless it is given.

    The silhouette of an image is (b - a) / max(a, b), a its mean distance to its cluster and b
    that to the nearest other one. Of 4, 6, 8, 10, 12, 16, 20, 24, 32 and 40 clusters, those are
    kept whose mean silhouette over up to 2,000 images is largest.

    Args:
        points: float32 `(N, d)`.
        count: Number of clusters; at most N are made.
        seed: Decides samples and first centres.

    Returns:
        int `(N,)` numbers of clusters from 0, the largest cluster first.

    Reference:
        Rousseeuw 1987, "Silhouettes: a graphical aid to the interpretation and validation of
        cluster analysis".
    """
    if count is None:
        count = _best_count(points[sample(len(points), seed, _JUDGED)], seed)
    fitted = points[sample(len(points), seed)]
    found = k_means(fitted, min(count, len(fitted)), seed).predict(points)
    by_size = np.argsort(-np.bincount(found), kind="stable")
    return np.argsort(by_size)[found]


def k_means(points: np.ndarray, count: int, seed: int):
    """A fitted k-means of scikit-learn, begun once by k-means++; of many images, in batches."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    kind = KMeans if len(points) <= _MANY else MiniBatchKMeans
    with warnings.catch_warnings():
        # Copies of few images: there are fewer clusters than asked for.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kind(count, n_init=1, random_state=seed_of_32_bits(seed)).fit(points)


def _best_count(points: np.ndarray, seed: int) -> int:
    from sklearn.metrics import silhouette_score

    best, chosen = -1.0, 1
    distinct = len(np.unique(points, axis=0))
    for count in _CANDIDATES:
        if count > distinct // 2:
            break
        score = silhouette_score(points, k_means(points, count, seed).labels_)
        if score > best:
            best, chosen = score, count
    return chosen


def neighbours_of_all(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest other images of each image, by cosine.

    Args:
        vectors: floating `(N, D)`.
        k: Neighbours; capped at N - 1.

    Returns:
        int64 `(N, k)` indices and float32 `(N, k)` cosines, nearest first.
    """
    places, cosines = nearest(vectors, vectors, k + 1)
    itself = places == np.arange(len(places))[:, None]
    others = np.argsort(itself, axis=1, kind="stable")[:, : places.shape[1] - 1]
    return np.take_along_axis(places, others, 1), np.take_along_axis(cosines, others, 1)


def outliers(cosines: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The images farthest from their k-th nearest neighbour.

    Args:
        cosines: float32 `(N, k)`, as from `neighbours_of_all`.
        most: How many images.

    Returns:
        int64 indices and float32 distances 1 - cosine, the farthest first.

    Reference:
        Ramaswamy, Rastogi & Shim 2000, "Efficient algorithms for mining outliers from large
        data sets": outliers by the distance to the k-th neighbour.
    """
    if not cosines.shape[1]:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    distances = 1 - cosines[:, -1]
    chosen = np.argsort(-distances, kind="stable")[:most]
    return chosen, distances[chosen]


def duplicate_groups(count: int, pairs: np.ndarray) -> list[list[int]]:
    """Images connected by pairs of near-duplicates, the largest group first.

    Args:
        count: N, the number of images.
        pairs: int64 `(P, 2)`, see `near_duplicates`.
    """
    groups = (group.tolist() for group in groups_of(pairs, count))
    return sorted(groups, key=lambda group: -len(group))
