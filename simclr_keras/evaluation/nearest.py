"""`nearest`: exact nearest neighbours by cosine similarity, block by block."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

# Similarities in memory at once: 32 MB. The rows are long because `top_k` visits most of a
# short row twice.
_QUERIES, _VECTORS = 512, 16_384


def nearest(
    queries: np.ndarray, vectors: np.ndarray | Iterable[np.ndarray], k: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k vectors with the largest cosine to each query; exact, without an index.

    s_ij = q_i . v_j / (|q_i| |v_j|). Only one block and the k best are in memory, so a
    million vectors can be streamed from a file.

    Args:
        queries: floating `(M, D)`.
        vectors: floating `(N, D)`, or its blocks in order, such as those from `read_blocks`.
        k: Neighbours of each query; capped at N.

    Returns:
        int64 `(M, k)` row indices into `vectors` and float32 `(M, k)` cosines, nearest first;
        ties go to the lower index.

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
                found /= scale  # dividing here avoids a copy of the vectors
                best[number] = _better(*best[number], found, start + first, k)
        start += len(block)
    if start == 0:
        raise ValueError("There are no vectors to search. Received: an empty `vectors`")
    places, cosines = (np.concatenate(found) for found in zip(*best))
    return places, cosines


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Vectors `(N, D)` as float32 with norm 1; zero vectors stay zero."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / lengths(vectors)[:, None]


def lengths(vectors: np.ndarray) -> np.ndarray:
    """The L2 norms `(N,)` of float32 vectors `(N, D)`, at least 1e-12.

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
    """Merges a block's cosines `(M, n)` into the k best so far; ties go to the first."""
    with tf.device("CPU"):  # `top_k` is stable there
        among, columns = tf.math.top_k(found, min(k, found.shape[1]))
        cosines = np.concatenate([cosines, among], axis=1)
        places = np.concatenate([places, columns.numpy() + start], axis=1, dtype=np.int64)
        cosines, order = tf.math.top_k(cosines, min(k, cosines.shape[1]))
    return np.take_along_axis(places, order.numpy(), axis=1), cosines.numpy()
