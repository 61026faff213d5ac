"""Exact nearest neighbours and near-duplicates by cosine similarity, block by block."""

from collections.abc import Iterable

import numpy as np

_BLOCK = 2048  # rows and columns of similarities in memory at once: 16 MB
_CELLS = _BLOCK**2


def nearest(
    queries: np.ndarray, vectors: np.ndarray | Iterable[np.ndarray], k: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The k vectors with the largest cosine to each query; exact, no index to build.

    s_ij = q_i . v_j / (|q_i| |v_j|). Memory is that of one block and of the k best, so a
    million vectors can be read from a file as they are needed.

    Args:
        queries: floating `(M, D)`.
        vectors: floating `(N, D)`, or blocks of it in order, such as `read_blocks` yields.
        k: Neighbours of each query; all N when there are fewer.

    Returns:
        int64 `(M, k)` places in `vectors` and float32 `(M, k)` cosines, the nearest first; of
        equal cosines the lower place first.

    Raises:
        ValueError: If k is below 1, there are no vectors, dimensions differ, or a number is
            not finite.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.search.nearest import nearest
        >>> places, cosines = nearest(np.array([[1.0, 0.0]]), np.eye(2), k=2)
        >>> places.tolist(), cosines.tolist()
        ([[0, 1]], [[1.0, 0.0]])
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}")
    queries = _normalised(queries)
    places = np.empty((len(queries), 0), np.int64)
    cosines = np.empty((len(queries), 0), np.float32)
    start, rows = 0, max(1, _CELLS // max(1, len(queries)))
    for block in [vectors] if isinstance(vectors, np.ndarray) else vectors:
        if block.shape[1] != queries.shape[1]:
            raise ValueError(
                "Queries and vectors must have the same dimension. Received: "
                f"{queries.shape[1]} and {block.shape[1]}"
            )
        for first in range(0, len(block), rows):
            part = np.asarray(block[first : first + rows], np.float32)
            found = queries @ part.T / _lengths(part)  # without a copy of the vectors
            places, cosines = _merge(places, cosines, found, start + first, k)
        start += len(block)
    if start == 0:
        raise ValueError("There are no vectors to search. Received: an empty `vectors`")
    order = np.argsort(-cosines, axis=1, kind="stable")  # columns are in order of places
    return np.take_along_axis(places, order, 1), np.take_along_axis(cosines, order, 1)


def near_duplicates(
    vectors: np.ndarray, threshold: float = 0.98, limit: int = 100_000
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of vectors with a cosine of at least `threshold`.

    Every pair is looked at: N (N - 1) / 2 inner products, a block at a time.

    Args:
        vectors: floating `(N, D)`.
        threshold: Least cosine, in (-1, 1].
        limit: Most pairs to return, those with the largest cosines.

    Returns:
        int64 `(P, 2)` places with the lower first, and float32 `(P,)` cosines; the most
        similar pair first, of equal ones that of lower places.

    Raises:
        ValueError: If `threshold` or `limit` is out of range.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.search.nearest import near_duplicates
        >>> pairs, cosines = near_duplicates(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]))
        >>> pairs.tolist(), cosines.tolist()
        ([[0, 2]], [1.0])
    """
    if not -1 < threshold <= 1:
        raise ValueError(f"`threshold` must be in (-1, 1]. Received: threshold={threshold}")
    if limit < 1:
        raise ValueError(f"`limit` must be at least 1. Received: limit={limit}")
    vectors = _normalised(vectors)
    bound = threshold - 1e-6  # the rounding of a cosine of 1
    pairs, cosines = np.empty((0, 2), np.int64), np.empty(0, np.float32)
    for top in range(0, len(vectors), _BLOCK):
        for left in range(top, len(vectors), _BLOCK):
            found = vectors[top : top + _BLOCK] @ vectors[left : left + _BLOCK].T
            rows, columns = np.nonzero(found >= bound)
            above = rows + top < columns + left  # each pair once, none with itself
            rows, columns = rows[above], columns[above]
            cosines = np.concatenate([cosines, found[rows, columns]])
            pairs = np.concatenate([pairs, np.stack([rows + top, columns + left], axis=1)])
            if len(pairs) > limit:
                order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))[:limit]
                pairs, cosines = pairs[order], cosines[order]
                bound = max(bound, float(cosines[-1]))
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -cosines))
    return pairs[order], np.minimum(cosines[order], np.float32(1))


def _merge(places, cosines, found, start: int, k: int):
    """The k best of those so far `(M, m)`, in order of places, and of a block `(M, n)`."""
    size = min(k, cosines.shape[1] + found.shape[1])
    # Equal to the least so far is not better: of equals the first stays.
    least = cosines.min(axis=1, keepdims=True) if cosines.shape[1] == k else -np.inf
    better = found > least
    if cosines.shape[1] == size and not better.any():
        return places, cosines
    merged_places = np.empty((len(found), size), np.int64)
    merged_cosines = np.empty((len(found), size), np.float32)
    for row, mask in enumerate(better):
        columns = np.flatnonzero(mask)
        values = np.concatenate([cosines[row], found[row, columns]])
        if len(values) > size:
            bound = np.partition(values, len(values) - size)[len(values) - size]
            above, equal = np.flatnonzero(values > bound), np.flatnonzero(values == bound)
            chosen = np.sort(np.concatenate([above, equal[: size - len(above)]]))
        else:
            chosen = np.arange(size)
        merged_places[row] = np.concatenate([places[row], columns + start])[chosen]
        merged_cosines[row] = values[chosen]
    return merged_places, merged_cosines


def _normalised(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / _lengths(vectors)[:, None]


def _lengths(vectors: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not np.isfinite(lengths).all():
        raise ValueError(
            f"Vectors must be finite. Received: {(~np.isfinite(lengths)).sum()} that are not"
        )
    return np.maximum(lengths, 1e-12)
