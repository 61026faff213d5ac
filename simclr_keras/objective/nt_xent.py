"""NT-Xent, the normalised temperature-scaled cross entropy loss.

N pairs, 2N views, K projection dimensions.
"""

import keras
import tensorflow as tf


def nt_xent_loss(
    projections_1: tf.Tensor, projections_2: tf.Tensor, temperature: float = 0.1
) -> tf.Tensor:
    """The loss of each pair of views (Equation 1 of the paper).

    For a view i with partner j, and sim the cosine similarity:

        l(i, j) = -log( exp(sim(z_i, z_j) / tau) / sum_{k != i} exp(sim(z_i, z_k) / tau) )

    over all 2N - 1 other views k. A pair's loss is (l(i, j) + l(j, i)) / 2, so the mean over
    pairs is the paper's mean over all 2N views. Collapse (all projections equal) gives
    ln(2N - 1). Computed in float32 whatever the inputs are.

    Args:
        projections_1: floating `(N, K)`, the projections of the first views; any length.
        projections_2: floating `(N, K)`, of the second views.
        temperature: tau > 0. Defaults to 0.1.

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
    _check_temperature(temperature)
    similarities = view_similarities(projections_1, projections_2) / temperature
    pairs = tf.shape(similarities)[0] // 2
    partner = tf.concat([tf.range(pairs) + pairs, tf.range(pairs)], axis=0)  # (2N,)
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(partner, similarities)
    return (loss[:pairs] + loss[pairs:]) / 2.0


def view_similarities(projections_1: tf.Tensor, projections_2: tf.Tensor) -> tf.Tensor:
    """Cosine similarities of all views; -inf for a view with itself.

    Args:
        projections_1: floating `(N, K)`.
        projections_2: floating `(N, K)`.

    Returns:
        float32 `(2N, 2N)`, first views before second views.

    Raises:
        ValueError: If the shapes differ.
    """
    projections_1 = tf.cast(projections_1, tf.float32)
    projections_2 = tf.cast(projections_2, tf.float32)
    if not projections_1.shape.is_compatible_with(projections_2.shape):
        raise ValueError(
            "`projections_1` and `projections_2` must have one shape (N, K). Received: "
            f"projections_1.shape={projections_1.shape}, "
            f"projections_2.shape={projections_2.shape}"
        )
    views = tf.concat([projections_1, projections_2], axis=0)  # (2N, K)
    # Inside the square root epsilon keeps the gradient of a zero vector finite.
    views = tf.math.l2_normalize(views, axis=1, epsilon=1e-12)
    similarities = tf.matmul(views, views, transpose_b=True)  # (2N, 2N)
    count = tf.shape(views)[0]
    # -inf and not a large number: softmax subtracts the maximum, so exp(-inf) is exactly 0.
    return tf.linalg.set_diag(similarities, tf.fill([count], -float("inf")))


@keras.saving.register_keras_serializable(package="simclr_keras")
class NTXentLoss(keras.losses.Loss):
    """`nt_xent_loss` as a Keras loss: called with two batches of projections.

    Args:
        temperature: tau > 0, see `nt_xent_loss`. Defaults to 0.1.
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
        reduction: str = "sum_over_batch_size",
        name: str = "nt_xent_loss",
        **kwargs,
    ):
        super().__init__(reduction=reduction, name=name, **kwargs)
        _check_temperature(temperature)
        self.temperature = temperature

    def call(self, projections_1, projections_2):
        return nt_xent_loss(projections_1, projections_2, self.temperature)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature}


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
