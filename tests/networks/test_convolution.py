import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.networks import convolution
from simclr_keras.networks.adapter import with_keras_layers
from simclr_keras.networks.airbench import airbench
from simclr_keras.networks.convolution import Convolution2D


def _layers(rng, channels=128, filters=128, **options):
    """Ours and Keras', in bfloat16, with the same weights."""
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    options = {"padding": "same", "use_bias": False, **options}
    layers = [kind(filters, 3, **options) for kind in (Convolution2D, keras.layers.Conv2D)]
    weights = None
    for layer in layers:
        layer.build((None, None, None, channels))
        weights = weights or [rng.normal(size=w.shape) for w in layer.weights]
        layer.set_weights(weights)
    return layers


@pytest.mark.parametrize("mode", ["eager", "traced"])
@pytest.mark.parametrize("shape", [(3, 5, 4, 128), (2, 1, 2, 128)])
def test_outputs_and_gradients_are_keras_own(rng, monkeypatch, mode, shape):
    used = []
    ours = convolution._convolve
    monkeypatch.setattr(convolution, "_convolve", lambda *a: used.append(1) or ours(*a))
    images = tf.constant(rng.normal(size=shape), tf.bfloat16)
    upstream = tf.constant(rng.normal(size=(*shape[:3], 128)), tf.bfloat16)
    found = []
    for layer in _layers(rng):

        def gradients(images, layer=layer):
            with tf.GradientTape() as tape:
                tape.watch(images)
                outputs = layer(images)
            sources = [images, *layer.trainable_variables]
            return [outputs, *tape.gradient(outputs, sources, upstream)]

        run = tf.function(gradients) if mode == "traced" else gradients
        found.append([tf.cast(each, tf.float32).numpy() for each in run(images)])
    assert used == [1]
    for mine, theirs in zip(*found, strict=True):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() <= 0.01 * np.abs(theirs).max()


@pytest.mark.parametrize(
    "options, channels",
    [
        ({}, 64),
        ({"strides": 2}, 128),
        ({"dilation_rate": 2}, 128),
        ({"padding": "valid"}, 128),
        ({"groups": 2}, 256),
    ],
)
def test_other_convolutions_are_left_to_keras(rng, monkeypatch, options, channels):
    monkeypatch.setattr(convolution, "_convolve", None)
    if options.get("groups"):
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        layer = Convolution2D(128, 3, padding="same", **options)
        layer.build((None, 6, 6, channels))
        assert not layer._has_slow_gradient(tf.zeros((1, 6, 6, channels), tf.bfloat16))
        return
    images = tf.constant(rng.normal(size=(2, 6, 6, channels)), tf.bfloat16)
    ours, theirs = _layers(rng, channels, **options)
    np.testing.assert_array_equal(
        tf.cast(ours(images), tf.float32), tf.cast(theirs(images), tf.float32)
    )


def test_float32_is_left_to_keras(rng, monkeypatch):
    monkeypatch.setattr(convolution, "_convolve", None)
    layer = Convolution2D(128, 3, padding="same")
    assert layer(tf.zeros((1, 4, 4, 128))).dtype == tf.float32


def test_saved_networks_have_keras_own_layer():
    network = airbench(width_multiplier=0.125)
    kinds = {type(layer) for layer in network.layers}
    assert Convolution2D in kinds
    plain = with_keras_layers(network)
    assert Convolution2D not in {type(layer) for layer in plain.layers}
    images = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    np.testing.assert_allclose(network(images), plain(images), atol=1e-6)
