import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import Muon, WarmupCosine
from simclr_keras.training.muon import orthogonal


@pytest.mark.parametrize("shape", [(6, 6), (40, 8), (8, 40), (288, 32), (1, 9)])
def test_singular_vectors_stay_and_singular_values_become_alike(rng, shape):
    matrix = rng.normal(size=shape).astype("float32")
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = np.geomspace(1.0, 0.03, len(values))
    made = (left * values) @ right
    found = orthogonal(tf.constant(made, tf.float32), 5).numpy()
    in_basis = left.T @ found @ right.T
    np.testing.assert_allclose(in_basis, np.diag(np.diag(in_basis)), rtol=0, atol=1e-3)
    assert 0.6 < np.diag(in_basis).min() <= np.diag(in_basis).max() < 1.3


def test_a_matrix_of_zeros_stays_zero():
    np.testing.assert_array_equal(orthogonal(tf.zeros((3, 4)), 5), np.zeros((3, 4)))


class _Twin:
    """NumPy float64, one tensor."""

    def __init__(self, weight, momentum, decay, beta_1, beta_2, epsilon):
        self.weight = weight.astype(np.float64)
        self.settings = momentum, decay, beta_1, beta_2, epsilon
        self.first, self.second, self.steps = np.zeros_like(self.weight), 0.0, 0

    def step(self, gradient, learning_rate):
        momentum, decay, beta_1, beta_2, epsilon = self.settings
        self.steps += 1
        if self.weight.ndim < 2:
            self.first = beta_1 * self.first + (1 - beta_1) * gradient
            self.second = beta_2 * self.second + (1 - beta_2) * gradient**2
            mean = self.first / (1 - beta_1**self.steps)
            deviation = np.sqrt(self.second / (1 - beta_2**self.steps))
            self.weight -= learning_rate * mean / (deviation + epsilon)
            return
        self.first = momentum * self.first + gradient
        direction = gradient + momentum * self.first
        matrix = direction.reshape(-1, direction.shape[-1])  # all inputs by all outputs
        x = matrix / np.linalg.norm(matrix)
        for _ in range(5):  # the same function of the singular values, whichever side it is on
            square = x.T @ x
            x = 3.4445 * x + x @ (-4.7750 * square + 2.0315 * square @ square)
        size = 0.2 * np.sqrt(max(matrix.shape))
        update = size * x.reshape(direction.shape) + decay * self.weight
        self.weight -= learning_rate * update


@pytest.mark.parametrize("traced", [True, False])
def test_three_steps_equal_the_twin(rng, traced):
    layer = keras.layers.Conv2D(5, 3)
    layer.build((None, 8, 8, 4))
    layer.set_weights([rng.normal(size=w.shape) for w in layer.weights])
    schedule = WarmupCosine(0.1, total_steps=4)
    settings = dict(momentum=0.9, weight_decay=0.1, beta_1=0.8, beta_2=0.9, epsilon=1e-6)
    optimizer = Muon(schedule, **settings)
    optimizer.build(layer.trainable_variables)
    twins = [_Twin(w, *settings.values()) for w in layer.get_weights()]

    def apply(gradients):
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables))

    step = tf.function(apply) if traced else apply
    for number in range(3):
        gradients = [rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()]
        step([tf.constant(g) for g in gradients])
        for twin, gradient in zip(twins, gradients):
            twin.step(gradient, float(schedule(number)))
    for weight, twin in zip(layer.get_weights(), twins):
        np.testing.assert_allclose(weight, twin.weight, rtol=1e-4, atol=1e-5)


def test_only_vectors_have_a_second_moment():
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    optimizer = Muon()
    optimizer.build(layer.trainable_variables)
    assert sorted(optimizer.slots["momentum"]) == ["0", "1"]
    assert sorted(optimizer.slots["velocity"]) == ["1"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"iterations_of_newton_schulz": 0},
        {"beta_1": 1.0},
        {"beta_2": -0.1},
        {"epsilon": 0.0},
    ],
)
def test_wrong_arguments_are_named(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=f"`{name}` must be .* Received: {name}={value}"):
        Muon(**wrong)
