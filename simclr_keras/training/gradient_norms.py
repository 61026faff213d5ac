"""`GradientNorms`: how large the gradients of the last steps were."""

import math

import numpy as np
import tensorflow as tf

_KEPT = 64  # steps


class GradientNorms:
    """The norms of the gradients of the last 64 steps, kept on the device until they are asked for.

    Not part of the model's state: a run that goes on begins with none.
    """

    def __init__(self):
        # In an object that Keras does not track: a norm is not a weight.
        self._recent = tf.Variable(
            tf.fill([_KEPT], -1.0),  # no step
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="gradient_norms",
        )

    def note(self, step: tf.Tensor, norm: tf.Tensor) -> None:
        """Keeps the norm of a step, float32 scalar; call in a training step, with its number."""
        place = tf.range(_KEPT, dtype=tf.int64) == tf.cast(step, tf.int64) % _KEPT
        self._recent.assign(tf.where(place, norm, self._recent))

    def recent(self, steps_made: int) -> dict[int, float]:
        """The norms by step, which counts from 1, the first step first."""
        norms = np.asarray(self._recent.read_value())
        steps = range(max(steps_made - _KEPT, 0), steps_made)
        return {n + 1: norm for n in steps if (norm := float(norms[n % _KEPT])) != -1.0}

    def described(self, steps_made: int) -> str:
        """The last norms in a sentence, for when a step went wrong; empty if there are none."""
        norms = self.recent(steps_made)
        finite = {step: norm for step, norm in norms.items() if math.isfinite(norm)}
        others = [step for step in norms if step not in finite]
        said = []
        if finite:
            step = max(finite, key=lambda step: finite[step])
            median = float(np.median(list(finite.values())))
            said.append(f"at most {finite[step]:.3g} (step {step}; median {median:.3g})")
        if others:
            said.append(f"not finite in {len(others)} (first: step {others[0]})")
        if not said:
            return ""
        return f"In the last {len(norms)} steps, the gradient's norm was {', and '.join(said)}."
