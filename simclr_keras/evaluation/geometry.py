"""How features lie in space: alignment, uniformity and effective rank; no labels are needed.

N images, D features. NumPy in float64: these are a few hundred vectors.
"""

import numpy as np
import numpy.typing as npt

_EPSILON = 1e-7  # of RankMe


def alignment(features_1: npt.ArrayLike, features_2: npt.ArrayLike) -> float:
    """How near the two views of an image are to each other.

    The mean of |x - y|^2 over pairs of unit vectors: 0 if partners are equal, 2 if they are
    orthogonal. Collapse also gives 0, so read it beside `uniformity`.

    Args:
        features_1: floating `(N, D)`, of the first views, of any norm.
        features_2: floating `(N, D)`, of the second views.

    Raises:
        ValueError: If the shapes differ, or there are no features.

    Example:
        >>> import simclr_keras as sk
        >>> sk.alignment([[2.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]])
        1.0

    Reference:
        Wang & Isola 2020, https://arxiv.org/abs/2005.10242, Section 4.1.1, with alpha = 2.
    """
    first, second = _unit_rows(features_1, 1), _unit_rows(features_2, 1)
    if first.shape != second.shape:
        raise ValueError(
            "`features_1` and `features_2` must have the same shape (N, D). Received: "
            f"features_1.shape={first.shape}, features_2.shape={second.shape}"
        )
    return float(np.square(first - second).sum(axis=1).mean())


def uniformity(features: npt.ArrayLike) -> float:
    """How evenly the features of different images cover the sphere.

    The logarithm of the mean of exp(-2 |x - y|^2) over pairs of different images, as unit
    vectors. 0 if all are equal, -4 if all are orthogonal; evenly spread vectors give less than
    that only if some of them point away from each other.

    Args:
        features: floating `(N, D)`, N >= 2, of any norm.

    Raises:
        ValueError: If there are fewer than two features.

    Example:
        >>> import simclr_keras as sk
        >>> sk.uniformity([[3.0, 0.0], [0.0, 1.0]])
        -4.0

    Reference:
        Wang & Isola 2020, https://arxiv.org/abs/2005.10242, Section 4.1.2, with t = 2.
    """
    unit = _unit_rows(features, 2)
    squares = np.square(unit).sum(axis=1)
    distances = squares[:, None] + squares - 2.0 * unit @ unit.T
    distances = distances[np.triu_indices(len(unit), 1)]
    # Rounding may leave that of equal vectors below 0.
    return float(np.log(np.exp(-2.0 * np.maximum(distances, 0.0)).mean()))


def effective_rank(features: npt.ArrayLike) -> float:
    """How many directions the features use: RankMe.

    With the singular values s_k of the features, p_k = s_k / sum_j s_j + 1e-7 and K = min(N, D):

        exp(-sum_k p_k log p_k)

    It is 1 if all features are parallel, and K, the most that it can be, if the singular values
    are equal.

    Args:
        features: floating `(N, D)`, neither centred nor normalised.

    Raises:
        ValueError: If there are no features.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> round(sk.effective_rank(np.eye(4)), 3)
        4.0

    Reference:
        Garrido et al. 2022, https://arxiv.org/abs/2210.02885, Equations 1 and 2.
    """
    rows = _rows(features, 1)
    # The singular values from the smaller of X X^T and X^T X: a tenth of the time of an SVD.
    gram = rows @ rows.T if len(rows) <= rows.shape[1] else rows.T @ rows
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    # Zero features have no direction, which is as bad as one.
    shares = values / max(values.sum(), np.finfo(float).tiny) + _EPSILON
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _rows(features, least: int) -> np.ndarray:
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or len(rows) < least:
        raise ValueError(
            f"Features must have the shape (N, D), with N of at least {least}. Received: shape "
            f"{rows.shape}"
        )
    return rows


def _unit_rows(features, least: int) -> np.ndarray:
    rows = _rows(features, least)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
