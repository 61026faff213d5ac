"""LARS, layer-wise adaptive rate scaling."""

import keras
import tensorflow as tf

from ..keras_versions import VersionedOptimizer


@keras.saving.register_keras_serializable(package="simclr_keras")
class LARS(VersionedOptimizer):
    """SGD with momentum for large batches, with a separate step scale for each tensor.

    For a weight w of rank >= `min_rank`, with gradient g, weight decay b, trust coefficient
    eta, momentum m and learning rate lr:

        g' = g + b * w
        trust = eta * |w| / |g'|        (1 where either norm is 0)
        v = m * v + lr * trust * g'
        w = w - v

    Tensors of lower rank (biases, batch-norm gamma and beta) are neither decayed nor scaled:
    g' = g and trust = 1. The rule uses rank because Keras 3 names every kernel `kernel`.

    Args:
        learning_rate: A number or a schedule such as `WarmupCosine`.
        momentum: m in [0, 1).
        weight_decay: b >= 0, added to the gradient before the trust ratio. The paper uses
            1e-6 on ImageNet. With 0, tensors are still scaled.
        trust_coefficient: eta > 0.
        min_rank: Lowest rank that is decayed and scaled. Defaults to 2.
        name: Name of the optimizer.
        **kwargs: Other arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> schedule = sk.WarmupCosine(4.8, total_steps=1000, warmup_steps=100)
        >>> optimizer = sk.LARS(schedule, weight_decay=1e-6)

    Reference:
        You et al. 2017, "Large Batch Training of Convolutional Networks",
        https://arxiv.org/abs/1708.03888; Chen et al. 2020, https://arxiv.org/abs/2002.05709,
        Section 2.3 and Appendix B.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
        min_rank: int = 2,
        name: str = "LARS",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must be in [0, 1). Received: momentum={momentum}")
        if weight_decay < 0:
            raise ValueError(
                f"`weight_decay` must be 0 or more. Received: weight_decay={weight_decay}"
            )
        if trust_coefficient <= 0:
            raise ValueError(
                "`trust_coefficient` must be positive. Received: "
                f"trust_coefficient={trust_coefficient}"
            )
        self.momentum = momentum
        # The base class would decay too, and every tensor; VersionedOptimizer prevents it.
        self.weight_decay = weight_decay
        self.trust_coefficient = trust_coefficient
        self.min_rank = min_rank

    def slots_of(self, variable: tf.Variable) -> tuple[str, ...]:
        return ("momentum",)

    def update(self, gradient, variable, learning_rate, momentum) -> None:
        gradient = tf.cast(gradient, variable.dtype)
        if len(variable.shape) >= self.min_rank:
            gradient = gradient + self.weight_decay * variable
            weight_norm = tf.norm(variable)
            gradient_norm = tf.norm(gradient)
            adapts = (weight_norm > 0) & (gradient_norm > 0)
            ratio = self.trust_coefficient * weight_norm / tf.where(adapts, gradient_norm, 1.0)
            learning_rate = learning_rate * tf.where(adapts, ratio, 1.0)
        velocity = self.momentum * momentum + learning_rate * gradient
        momentum.assign(velocity)
        variable.assign_sub(velocity)

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            trust_coefficient=self.trust_coefficient,
            min_rank=self.min_rank,
        )
        return config
