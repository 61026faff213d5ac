"""NT-Xent, the normalised temperature-scaled cross entropy loss.

N pairs, 2N views, K projection dimensions.
"""

import math

import keras
import tensorflow as tf

from .contrast import TILE_ROWS, check_temperature, contrast


def nt_xent_loss(
    projections_1: tf.Tensor,
    projections_2: tf.Tensor,
    temperature: float = 0.1,
    tile_rows: int = TILE_ROWS,
) -> tf.Tensor:
    """The loss of each pair of views (Equation 1 of the paper).

    For a view i with partner j, and sim the cosine similarity:

        l(i, j) = -log( exp(sim(z_i, z_j) / tau) / sum_{k != i} exp(sim(z_i, z_k) / tau) )

    over all 2N - 1 other views k. A pair's loss is (l(i, j) + l(j, i)) / 2, so the mean over
    pairs is the paper's mean over all 2N views. Collapse (all projections equal) gives
    ln(2N - 1). Computed in float32 whatever the inputs are.

    Above `tile_rows` views, the `(2N, 2N)` similarities are never all in memory: they are
    computed one tile of rows at a time, in the forward pass and again for the gradient, which
    is exact. Memory grows with 2N * tile_rows instead of (2N)^2. (First derivatives only.)

    Args:
        projections_1: floating `(N, K)`, the projections of the first views, of any norm.
        projections_2: floating `(N, K)`, of the second views.
        temperature: tau > 0. Defaults to 0.1.
        tile_rows: Rows of the similarities to hold at a time. Defaults to 512.

    Returns:
        float32 `(N,)`.

    Raises:
        ValueError: If the shapes differ or the temperature is not positive.

    Example:
        >>> import math
        >>> import tensorflow as tf
        >>> import simclr_keras as sk
        >>> equal = tf.ones((4, 8))
        >>> loss = sk.nt_xent_loss(equal, equal, temperature=0.1)
        >>> abs(float(loss[0]) - math.log(7)) < 1e-6
        True

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Equation 1 and Algorithm 1.
    """
    return contrast(projections_1, projections_2, temperature, tile_rows=tile_rows).losses


def decoupled_nt_xent_loss(
    projections_1: tf.Tensor,
    projections_2: tf.Tensor,
    temperature: float = 0.1,
    tile_rows: int = TILE_ROWS,
) -> tf.Tensor:
    """NT-Xent without the partner among the candidates, for small batches.

    For a view i with partner j, over the 2N - 2 other views k:

        l(i, j) = -sim(z_i, z_j) / tau + log sum_{k != i, j} exp(sim(z_i, z_k) / tau)

    In NT-Xent, a pair that is already close also gets only a small gradient from its negatives,
    the more so the fewer candidates there are. This form removes that coupling. The loss may be
    negative, and collapse gives ln(2N - 2).

    A single pair has no negatives. If N is known to be 1, that is an error; in a batch of
    unknown size (such as the last one of `fit` with 33 images in batches of 32), loss and
    gradient are 0, as in NT-Xent.

    Args:
        projections_1: floating `(N, K)`, N >= 2.
        projections_2: floating `(N, K)`.
        temperature: tau > 0. Defaults to 0.1.
        tile_rows: As in `nt_xent_loss`.

    Returns:
        float32 `(N,)`.

    Raises:
        ValueError: If the shapes differ, N is known to be 1 or the temperature is not positive.

    Example:
        >>> import math
        >>> import tensorflow as tf
        >>> import simclr_keras as sk
        >>> equal = tf.ones((4, 8))
        >>> loss = sk.decoupled_nt_xent_loss(equal, equal, temperature=0.1)
        >>> abs(float(loss[0]) - math.log(6)) < 1e-6
        True

    Reference:
        Yeh et al. 2021, "Decoupled Contrastive Learning", https://arxiv.org/abs/2110.06848,
        Equation 6.
    """
    projections_1 = tf.convert_to_tensor(projections_1)
    if projections_1.shape[0] == 1:
        raise ValueError(
            "The decoupled loss needs at least 2 pairs: without the partner a single pair has "
            f"no candidate. Received: projections_1.shape={projections_1.shape}"
        )
    return contrast(
        projections_1, projections_2, temperature, decoupled=True, tile_rows=tile_rows
    ).losses


def collapsed_loss(batch_size: int, decoupled: bool = False, views: int = 2) -> float:
    """The loss if all projections of N images are equal.

    With two views ln(2N - 1), decoupled ln(2N - 2); with V, ln(V(N - 1) + 1) and ln(V(N - 1)).
    """
    return math.log(views * (batch_size - 1) + 1 - decoupled)


@keras.saving.register_keras_serializable(package="simclr_keras")
class NTXentLoss(keras.losses.Loss):
    """`nt_xent_loss` as a Keras loss: called with two batches of projections.

    Args:
        temperature: tau > 0, see `nt_xent_loss`. Defaults to 0.1.
        decoupled: Use `decoupled_nt_xent_loss` instead. Defaults to False.
        reduction: As in `keras.losses.Loss`; the mean over pairs by default.
        name: Name of the loss.

    Raises:
        ValueError: If the temperature is not positive.

    Example:
        >>> import tensorflow as tf
        >>> import simclr_keras as sk
        >>> z = tf.eye(4)
        >>> round(float(sk.NTXentLoss(temperature=1.0)(z, z)), 3)  # ln(e + 6) - 1
        1.165

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Equation 1.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        decoupled: bool = False,
        reduction: str = "sum_over_batch_size",
        name: str = "nt_xent_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        check_temperature(temperature)
        self.temperature = temperature
        self.decoupled = decoupled

    def call(self, projections_1: tf.Tensor, projections_2: tf.Tensor) -> tf.Tensor:
        loss = decoupled_nt_xent_loss if self.decoupled else nt_xent_loss
        return loss(projections_1, projections_2, self.temperature)

    def get_config(self) -> dict:
        config = super().get_config()
        return {**config, "temperature": self.temperature, "decoupled": self.decoupled}
