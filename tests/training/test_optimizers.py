import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.keras_versions import apply_gradients, build_optimizer, scaled
from simclr_keras.training.optimizers import make_optimizer


def _network():
    """A kernel of rank 4 and one of rank 2, biases, gamma and beta: all of them ones."""
    network = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            keras.layers.Conv2D(3, 2),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    network.set_weights([np.ones_like(w) for w in network.get_weights()])
    return network


# A gradient of zero leaves the decay alone: LARS' v = lr * decay * w after scaling by
# 0.001 * |w| / |decay * w|, so 0.001 * lr * w; the others' lr * decay * w.
@pytest.mark.parametrize("name, left", [("lars", 0.9999), ("sgd", 0.95), ("adamw", 0.95)])
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_only_kernels_are_decayed(run_mode, name, left, precision):
    keras.mixed_precision.set_global_policy(precision)
    variables = _network().trainable_variables
    optimizer = make_optimizer(name, 0.1, 0.5, variables)
    if precision == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    build_optimizer(optimizer, variables)

    def step():
        scaled(optimizer, tf.constant(0.0))
        apply_gradients(optimizer, [tf.zeros(v.shape) for v in variables], variables)

    run_mode(step)()
    for variable in variables:
        expected = left if len(variable.shape) > 1 else 1.0
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)
    assert sum(len(variable.shape) > 1 for variable in variables) == 2


@pytest.mark.parametrize("name", ["lars", "lamb", "sgd", "adamw"])
def test_each_goes_down_a_quadratic(name):
    weight = tf.Variable([[3.0, -2.0]])
    optimizer = make_optimizer(name, 0.1 if name != "lars" else 10.0, 0.0, [weight])
    build_optimizer(optimizer, [weight])
    for _ in range(30):
        apply_gradients(optimizer, [2 * weight], [weight])
    assert float(tf.norm(weight)) < 0.7 * np.sqrt(13)
