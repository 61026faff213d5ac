import re

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from simclr_keras import LARS, WarmupCosine


def _layer(rng):
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    layer.set_weights([rng.normal(size=(4, 3)), rng.normal(size=(3,))])
    return layer


def _apply(optimizer, layer, gradients):
    pairs = zip([tf.cast(g, tf.float32) for g in gradients], layer.trainable_variables)
    optimizer.apply_gradients(pairs)


def test_first_step_by_hand():
    # w = (3, 4): |w| = 5. g = (0, 2), decay 0: |g| = 2. trust = 0.1 * 5 / 2 = 0.25.
    # v = lr * trust * g = 2 * 0.25 * (0, 2) = (0, 1); w becomes (3, 3).
    layer = keras.layers.Dense(2, use_bias=False)
    layer.build((None, 1))
    layer.set_weights([np.array([[3.0, 4.0]])])
    _apply(LARS(2.0, trust_coefficient=0.1), layer, [[[0.0, 2.0]]])
    np.testing.assert_allclose(layer.get_weights()[0], [[3.0, 3.0]], rtol=1e-6)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_five_steps_equal_the_twin(rng, weight_decay):
    layer = _layer(rng)
    optimizer = LARS(0.5, momentum=0.9, weight_decay=weight_decay, trust_coefficient=0.02)
    twin = reference.Lars(layer.get_weights(), 0.9, weight_decay, 0.02)
    optimizer.build(layer.trainable_variables)
    step = tf.function(lambda *gradients: _apply(optimizer, layer, gradients))
    for _ in range(5):
        gradients = [rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
        step(*[tf.constant(g) for g in gradients])
        twin.step(gradients, 0.5)
    for weight, expected in zip(layer.get_weights(), twin.weights):
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-6)


def test_low_ranks_are_neither_decayed_nor_scaled(rng):
    layer = _layer(rng)
    kernel, bias = layer.get_weights()
    _apply(LARS(1.0, weight_decay=0.5), layer, [np.zeros_like(kernel), np.zeros_like(bias)])
    np.testing.assert_array_equal(layer.get_weights()[1], bias)
    assert np.abs(layer.get_weights()[0] - kernel).max() > 0
    _apply(LARS(1.0, weight_decay=0.5), layer, [np.zeros_like(kernel), np.ones_like(bias)])
    np.testing.assert_allclose(layer.get_weights()[1], bias - 1.0, rtol=1e-6)


@pytest.mark.parametrize("weight, gradient", [(0.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_zero_norms_stay_finite_and_fall_back_to_sgd(weight, gradient):
    layer = keras.layers.Dense(2, use_bias=False)
    layer.build((None, 2))
    layer.set_weights([np.full((2, 2), weight)])
    _apply(LARS(0.1), layer, [np.full((2, 2), gradient)])
    np.testing.assert_allclose(layer.get_weights()[0], weight - 0.1 * gradient, rtol=1e-6)


def test_lowers_a_quadratic():
    layer = keras.layers.Dense(3, use_bias=False)  # a bias would step with the plain rate
    layer.build((None, 4))
    optimizer = LARS(WarmupCosine(5.0, 300, 30), trust_coefficient=0.01)
    optimizer.build(layer.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.add_n([tf.reduce_sum((v - 1.0) ** 2) for v in layer.trainable_variables])
        pairs = zip(tape.gradient(loss, layer.trainable_variables), layer.trainable_variables)
        optimizer.apply_gradients(pairs)
        return loss

    first = float(step())
    for _ in range(300):
        last = float(step())
    assert last < 0.05 * first


def test_config_keeps_every_argument_and_continues_alike(rng):
    arguments = {
        "learning_rate": 0.3,
        "momentum": 0.8,
        "weight_decay": 0.2,
        "trust_coefficient": 0.05,
        "min_rank": 1,
    }
    optimizer = LARS(**arguments)
    revived = LARS.from_config(optimizer.get_config())
    for name in ("momentum", "weight_decay", "trust_coefficient", "min_rank"):
        assert getattr(revived, name) == arguments[name]
    first, second = _layer(np.random.default_rng(3)), _layer(np.random.default_rng(3))
    gradients = [np.ones((4, 3)), np.ones(3)]
    _apply(optimizer, first, gradients)
    _apply(revived, second, gradients)
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_schedule_survives_the_config():
    optimizer = LARS(WarmupCosine(2.0, 100, 10))
    revived = LARS.from_config(optimizer.get_config())
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 1))
    layer.set_weights([np.array([[1.0]])])
    for _ in range(2):  # rates 0.0 and 0.2; trust 0.001 * 1 / 1
        _apply(revived, layer, [[[1.0]]])
    assert layer.get_weights()[0][0, 0] == pytest.approx(1 - 0.2 * 0.001, abs=1e-7)


@pytest.mark.parametrize(
    "name, value, rule",
    [
        ("momentum", 1.0, "in [0, 1)"),
        ("weight_decay", -1.0, "0 or more"),
        ("trust_coefficient", 0.0, "positive"),
    ],
)
def test_arguments_are_checked(name, value, rule):
    text = re.escape(f"`{name}` must be {rule}. Received: {name}={value}")
    with pytest.raises(ValueError, match=text):
        LARS(**{name: value})
