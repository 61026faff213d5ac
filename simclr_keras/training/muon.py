"""Muon: momentum whose update of each matrix is made orthogonal."""

import math

import keras
import tensorflow as tf

from ..keras_versions import VersionedOptimizer

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Jordan's quintic iteration
_ADAM_RMS = 0.2  # of AdamW's updates, typically


@keras.saving.register_keras_serializable(package="simclr_keras")
class Muon(VersionedOptimizer):
    """SGD with momentum whose update of each weight matrix is made nearly orthogonal.

    For a weight w of rank >= 2, reshaped to a matrix of all its inputs by its outputs (of a
    convolution kernel: height * width * channels by filters), with gradient g, momentum m, weight
    decay b and learning rate lr:

        v = m * v + g
        u = orthogonal(g + m * v)
        w = w - lr * (0.2 * sqrt(max(rows, columns)) * u + b * w)

    `orthogonal(x)` replaces the singular values of x by values of about 1, with a few Newton-Schulz
    iterations in float32. Every direction is then learned at the same rate, not only the few that
    dominate the gradient. The factor gives the update the size of AdamW's, so that the two share
    learning rate and weight decay.

    Tensors of lower rank (biases, batch-norm gamma and beta) are updated as by Adam, without decay.
    Keras' own Muon (since Keras 3.15) leaves kernels of convolutions to AdamW.

    Args:
        learning_rate: A number or a schedule such as `WarmupCosine`.
        momentum: m in [0, 1).
        weight_decay: b >= 0, decoupled from the gradient.
        iterations_of_newton_schulz: How many, at least 1.
        beta_1: Decay of Adam's first moment, in [0, 1).
        beta_2: Decay of Adam's second moment, in [0, 1).
        epsilon: Adam's, > 0.
        name: Name of the optimizer.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> schedule = sk.WarmupCosine(4e-3, total_steps=1000, warmup_steps=50)
        >>> optimizer = sk.Muon(schedule, weight_decay=1e-4)

    Reference:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
        https://kellerjordan.github.io/posts/muon/; the factor: Liu et al. 2025, "Muon is Scalable
        for LLM Training", https://arxiv.org/abs/2502.16982, Section 2.2.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iterations_of_newton_schulz: int = 5,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "Muon",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        for key, value in (("momentum", momentum), ("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= value < 1:
                raise ValueError(f"`{key}` must be in [0, 1). Received: {key}={value}")
        if weight_decay < 0:
            raise ValueError(
                f"`weight_decay` must be 0 or more. Received: weight_decay={weight_decay}"
            )
        if iterations_of_newton_schulz < 1:
            raise ValueError(
                "`iterations_of_newton_schulz` must be at least 1. Received: "
                f"iterations_of_newton_schulz={iterations_of_newton_schulz}"
            )
        if epsilon <= 0:
            raise ValueError(f"`epsilon` must be positive. Received: epsilon={epsilon}")
        self.momentum = momentum
        # The base class would decay too, and every tensor; VersionedOptimizer prevents it.
        self.weight_decay = weight_decay
        self.iterations_of_newton_schulz = iterations_of_newton_schulz
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slots_of(self, variable: tf.Variable) -> tuple[str, ...]:
        return ("momentum",) if len(variable.shape) >= 2 else ("momentum", "velocity")

    def update(self, gradient, variable, learning_rate, momentum, velocity=None) -> None:
        gradient = tf.cast(gradient, variable.dtype)
        if velocity is not None:
            self._update_by_adam(gradient, variable, learning_rate, momentum, velocity)
            return
        moved = self.momentum * momentum + gradient
        momentum.assign(moved)
        shape = [math.prod(variable.shape[:-1]), variable.shape[-1]]
        direction = tf.reshape(gradient + self.momentum * moved, shape)
        direction = orthogonal(direction, self.iterations_of_newton_schulz)
        update = _ADAM_RMS * math.sqrt(max(shape)) * tf.reshape(direction, variable.shape)
        variable.assign_sub(learning_rate * (update + self.weight_decay * variable))

    def _update_by_adam(self, gradient, variable, learning_rate, momentum, velocity) -> None:
        step = tf.cast(self.iterations + 1, variable.dtype)
        first = self.beta_1 * momentum + (1.0 - self.beta_1) * gradient
        second = self.beta_2 * velocity + (1.0 - self.beta_2) * tf.square(gradient)
        momentum.assign(first)
        velocity.assign(second)
        first /= 1.0 - tf.pow(self.beta_1, step)
        second /= 1.0 - tf.pow(self.beta_2, step)
        variable.assign_sub(learning_rate * first / (tf.sqrt(second) + self.epsilon))

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            iterations_of_newton_schulz=self.iterations_of_newton_schulz,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )
        return config


def orthogonal(matrix: tf.Tensor, iterations: int) -> tf.Tensor:
    """A matrix with the singular vectors of another, and singular values of about 1.

    Five iterations bring singular values from 0.01 to 1 times the Frobenius norm to within 0.7 and
    1.2. A zero matrix stays zero.

    Args:
        matrix: floating `(rows, columns)`.
        iterations: Of Newton-Schulz, x = a x + (b (x x^T) + c (x x^T)^2) x.
    """
    a, b, c = _COEFFICIENTS
    x = tf.cast(matrix, tf.float32)
    x /= tf.norm(x) + 1e-7
    is_tall = matrix.shape[0] > matrix.shape[1]
    if is_tall:  # the product with itself is then the smaller of the two
        x = tf.transpose(x)
    for _ in range(iterations):
        product = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * product + c * tf.matmul(product, product), x)
    return tf.cast(tf.transpose(x) if is_tall else x, matrix.dtype)
