"""`nearest`: exact nearest neighbours by cosine similarity, block by block."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

# Similarities in memory at once: 32 MB. Long rows, because `top_k` visits most of a short one twice.
_QUERIES, _VECTORS = 512, 16_384


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
        >>> from simclr_keras.evaluation.nearest import nearest
        >>> places, cosines = nearest(np.array([[1.0, 0.0]]), np.eye(2), k=2)
        >>> places.tolist(), cosines.tolist()
        ([[0, 1]], [[1.0, 0.0]])
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: k={k}")
    queries = unit_vectors(queries)
    parts = [queries[first : first + _QUERIES] for first in range(0, len(queries), _QUERIES)]
    best = [(np.empty((len(q), 0), np.int64), np.empty((len(q), 0), np.float32)) for q in parts]
    rows = _VECTORS * max(1, _QUERIES // max(1, len(queries)))  # few queries: longer rows
    start = 0
    for block in [vectors] if isinstance(vectors, np.ndarray) else vectors:
        if block.shape[1] != queries.shape[1]:
            raise ValueError(
                "Queries and vectors must have the same dimension. Received: "
                f"{queries.shape[1]} and {block.shape[1]}"
            )
        for first in range(0, len(block), rows):
            some = np.asarray(block[first : first + rows], np.float32)
            scale = lengths(some)
            for number, part in enumerate(parts):
                found = part @ some.T
                found /= scale  # here, without a copy of the vectors
                best[number] = _better(*best[number], found, start + first, k)
        start += len(block)
    if start == 0:
        raise ValueError("There are no vectors to search. Received: an empty `vectors`")
    places, cosines = (np.concatenate(found) for found in zip(*best))
    return places, cosines


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(N, D)` as float32 of length 1; zeros stay zeros."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / lengths(vectors)[:, None]


def lengths(vectors: np.ndarray) -> np.ndarray:
    """The positive lengths `(N,)` of float32 vectors `(N, D)`.

    Raises:
        ValueError: If a number is not finite.
    """
    found = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    if not np.isfinite(found).all():
        raise ValueError(
            f"Vectors must be finite. Received: {(~np.isfinite(found)).sum()} that are not"
        )
    return np.maximum(found, 1e-12)


def _better(places, cosines, found, start: int, k: int):
    """The k best of those so far and of a block's cosines `(M, n)`; of equals the first."""
    with tf.device("CPU"):  # where `top_k` is stable
        among, columns = tf.math.top_k(found, min(k, found.shape[1]))
        cosines = np.concatenate([cosines, among], axis=1)
        places = np.concatenate([places, columns.numpy() + start], axis=1, dtype=np.int64)
        cosines, order = tf.math.top_k(cosines, min(k, cosines.shape[1]))
    return np.take_along_axis(places, order.numpy(), axis=1), cosines.numpy()
