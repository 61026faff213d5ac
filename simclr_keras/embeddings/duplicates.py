"""`near_duplicates`: all pairs of vectors that are almost the same."""

import numpy as np

from ..evaluation.nearest import unit_vectors

_BLOCK = 2048  # rows and columns of similarities in memory at once: 16 MB


def near_duplicates(
    vectors: np.ndarray, threshold: float = 0.98, limit: int = 100_000
) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of vectors with a cosine of at least `threshold`.

    Compares every pair: N (N - 1) / 2 inner products, a block at a time.

    Args:
        vectors: floating `(N, D)`.
        threshold: Minimum cosine, in (-1, 1].
        limit: Maximum number of pairs to return; those with the largest cosines are kept.

    Returns:
        int64 `(P, 2)` row indices, the lower one first, and float32 `(P,)` cosines; the most
        similar pair comes first, and ties are ordered by index.

    Raises:
        ValueError: If `threshold` or `limit` is out of range.
    """
    if not -1 < threshold <= 1:
        raise ValueError(f"`threshold` must be in (-1, 1]. Received: threshold={threshold}")
    if limit < 1:
        raise ValueError(f"`limit` must be at least 1. Received: limit={limit}")
    vectors = unit_vectors(vectors)
    bound = threshold - 1e-6  # allows for the rounding of a cosine of 1
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
