"""The layer at fault is the one whose inputs agree and whose outputs do not."""

import keras
import pytest
import tensorflow as tf

from simclr_keras.training.compare_layers import compare_layers


def _encoder():
    images = keras.Input((12, 12, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    x = shared(shared(images))
    inner = keras.Sequential(
        [keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3, name="inner")]
    )
    x = keras.layers.Conv2D(4, 3, name="last")(inner(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D(name="pool")(x))


def _layer(encoder, name):
    return next(layer for layer in encoder._flatten_layers() if layer.name == name)


@pytest.fixture
def pair():
    encoders = [_encoder(), _encoder()]
    encoders[1].set_weights(encoders[0].get_weights())
    return encoders


def _compare(encoders, rng):
    strategies = [tf.distribute.OneDeviceStrategy("CPU:0")] * 2
    images = tf.constant(rng.random((4, 12, 12, 3)), tf.float32)
    return compare_layers(strategies, encoders, images)


def test_equal_encoders_have_no_layer_at_fault(pair, rng):
    assert _compare(pair, rng) == []


@pytest.mark.parametrize("name", ["inner", "last"])
def test_only_the_layer_at_fault_is_named(pair, rng, name):
    layer = _layer(pair[1], name)
    layer.set_weights([1.01 * weight for weight in layer.get_weights()])
    (finding,) = _compare(pair, rng)
    assert finding.startswith(f"Layer {name} (Conv2D) gives different outputs")


def test_a_layer_that_is_called_twice_is_compared_at_each_call(pair, rng):
    layer = _layer(pair[1], "shared")
    layer.set_weights([1.01 * weight for weight in layer.get_weights()])
    (finding,) = _compare(pair, rng)  # at the second call its inputs differ already
    assert "Layer shared (Conv2D)" in finding


def test_what_is_not_a_number_is_a_fault(pair, rng):
    layer = _layer(pair[1], "last")
    layer.set_weights([float("nan") * weight for weight in layer.get_weights()])
    assert "Layer last (Conv2D)" in _compare(pair, rng)[0]


def test_layers_are_left_as_they_were(pair, rng):
    before = _layer(pair[0], "inner").call
    _compare(pair, rng)
    assert _layer(pair[0], "inner").call == before
    assert "call" not in vars(_layer(pair[0], "inner"))
