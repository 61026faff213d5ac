"""The learning-rate schedule."""

import math

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="simclr_keras")
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from 0, then half a cosine down to 0, without restarts.

    For step t (the first is 0), w warm-up steps and T steps in all:

        peak * t / w                                       for t < w
        peak * (1 + cos(pi * (t - w) / (T - w))) / 2       for w <= t <= T

    Args:
        peak_learning_rate: Learning rate at the end of the warm-up.
        total_steps: T >= 1.
        warmup_steps: w in 0..T. The paper warms up for 10 epochs.

    Call arguments:
        step: Integer scalar; beyond T the rate stays 0.

    Returns:
        float32 scalar.

    Raises:
        ValueError: If `total_steps` < 1 or `warmup_steps` is outside 0..total_steps.

    Example:
        >>> import simclr_keras as sk
        >>> schedule = sk.WarmupCosine(4.8, total_steps=100, warmup_steps=10)
        >>> [round(float(schedule(step)), 2) for step in (0, 10, 55, 100)]
        [0.0, 4.8, 2.4, 0.0]

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.3; Loshchilov & Hutter
        2016, https://arxiv.org/abs/1608.03983.
    """

    def __init__(self, peak_learning_rate: float, total_steps: int, warmup_steps: int = 0):
        super().__init__()
        if total_steps < 1:
            raise ValueError(
                f"`total_steps` must be positive. Received: total_steps={total_steps}"
            )
        if not 0 <= warmup_steps <= total_steps:
            raise ValueError(
                "`warmup_steps` must be between 0 and `total_steps`. Received: "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        self.peak_learning_rate = peak_learning_rate
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        warmup = step / max(self.warmup_steps, 1)
        decay_steps = max(self.total_steps - self.warmup_steps, 1)
        progress = tf.clip_by_value((step - self.warmup_steps) / decay_steps, 0.0, 1.0)
        cosine = (1.0 + tf.cos(math.pi * progress)) / 2.0
        return self.peak_learning_rate * tf.where(step < self.warmup_steps, warmup, cosine)

    def get_config(self) -> dict:
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
        }
