import keras
import numpy as np
import pytest
import tensorflow as tf
from mirrored import Mirrored

from simclr_keras import ProjectionHead, SimCLR
from simclr_keras.training.gradient_norms import GradientNorms


def _noted(norms: dict[int, float]) -> GradientNorms:
    kept = GradientNorms()
    for step, norm in norms.items():
        kept.note(tf.constant(step - 1, tf.int64), tf.constant(norm))
    return kept


def test_the_last_norms_are_kept_by_step():
    kept = _noted({step: float(step) for step in range(1, 71)})
    assert kept.recent(70) == {step: float(step) for step in range(7, 71)}
    # One that goes on after step 68 has seen two of them.
    assert _noted({69: 0.5, 70: 0.0}).recent(70) == {69: 0.5, 70: 0.0}


def test_what_is_said_of_them():
    norms = {1: 0.5, 2: 1.5, 3: 80_000.0, 4: np.nan, 5: np.inf}
    assert _noted(norms).described(5) == (
        "In the last 5 steps, the gradient's norm was at most 8e+04 (step 3; median 1.5), and not "
        "finite in 2 (first: step 4)."
    )
    assert (
        _noted({4: np.nan}).described(4).endswith("norm was not finite in 1 (first: step 4).")
    )
    assert _noted({}).described(4) == ""


@pytest.mark.parametrize("micro_batch_size", [None, 4])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_training_notes_the_norm_of_the_gradient_of_the_batch(precision, micro_batch_size):
    """SGD at rate 1 subtracts the gradient itself; the norm is the same without loss scaling."""
    keras.utils.set_random_seed(0)
    keras.mixed_precision.set_global_policy(precision)
    images = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, strides=4)(images)
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(features))
    model = SimCLR(encoder, ProjectionHead(4), Mirrored(16), micro_batch_size=micro_batch_size)
    optimizer = keras.optimizers.SGD(1.0)
    if precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=8.0)
    model.compile(optimizer, steps_per_execution=2)
    before = [w.copy() for w in _weights(model)]
    batch = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8")
    model.fit(batch, batch_size=8, verbose=0)
    moved = [a - b for a, b in zip(before, _weights(model))]
    expected = np.sqrt(sum((x**2).sum() for x in moved))
    assert model.gradient_norms.recent(1) == {1: pytest.approx(expected, rel=1e-3)}
    assert model.precision == precision


def _weights(model) -> list[np.ndarray]:
    return [np.asarray(tf.convert_to_tensor(v)) for v in model.trainable_variables]
