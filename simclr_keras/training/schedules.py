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
        total_steps, warmup_steps = self._lengths()
        warmup = step / tf.maximum(warmup_steps, 1.0)
        decay_steps = tf.maximum(total_steps - warmup_steps, 1.0)
        progress = tf.clip_by_value((step - warmup_steps) / decay_steps, 0.0, 1.0)
        cosine = (1.0 + tf.cos(math.pi * progress)) / 2.0
        return self.peak_learning_rate * tf.where(step < warmup_steps, warmup, cosine)

    def _lengths(self) -> tuple:
        """`total_steps` and `warmup_steps` as float32."""
        return tf.constant(self.total_steps, tf.float32), tf.constant(
            self.warmup_steps, tf.float32
        )

    def get_config(self) -> dict:
        return {
            "peak_learning_rate": self.peak_learning_rate,
            "total_steps": self.total_steps,
            "warmup_steps": self.warmup_steps,
        }


class WarmupCosineOfRun(WarmupCosine):
    """A `WarmupCosine` whose length may be set after the training step was traced.

    A run with a budget of minutes is timed before its length is known. Create it in the scope of
    the strategy.

    Args:
        peak_learning_rate: Learning rate at the end of the warm-up.
        total_steps: Steps of the run, until `set_length` is called.
        warmup_fraction: Share of the steps used for warm-up.
    """

    def __init__(self, peak_learning_rate: float, total_steps: int, warmup_fraction: float):
        super().__init__(peak_learning_rate, total_steps, round(warmup_fraction * total_steps))
        self._warmup_fraction = warmup_fraction
        self._variable = tf.Variable(
            [total_steps, self.warmup_steps], dtype=tf.float32, trainable=False
        )

    def set_length(self, total_steps: int) -> None:
        """Sets the length, and that of the warm-up."""
        self.total_steps = total_steps
        self.warmup_steps = round(self._warmup_fraction * total_steps)
        self._variable.assign([total_steps, self.warmup_steps])

    def _lengths(self) -> tuple:
        total_steps, warmup_steps = tf.unstack(self._variable)
        return total_steps, warmup_steps
