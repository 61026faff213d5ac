"""Memory of training: the estimate before it, the measurement during it."""

import keras

from simclr_keras.networks.batch_normalization import BatchNormalization
from simclr_keras.training.memory import activation_memory


def test_activations_of_a_network_whose_sizes_are_known():
    """What the gradients need is counted once: 3 maps, the features, and their product's input."""
    layers = keras.layers
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),  # needs the images
            BatchNormalization(),  # needs 8 x 8 x 16
            layers.ReLU(),  # needs its output, as does the next convolution
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.GlobalAveragePooling2D(),  # needs nothing
            layers.Dense(5),  # needs 4 numbers
        ]
    )
    numbers = 8 * 8 * 3 + 2 * 8 * 8 * 16 + 4
    assert activation_memory(encoder, 8, 10) == 4 * 10 * numbers
    assert activation_memory(encoder, 8, 20) == 2 * activation_memory(encoder, 8, 10)


def test_the_peak_grows_with_what_is_held(run_python):
    """In a process of its own, whose peak is what it holds."""
    grown = run_python(
        """
import tensorflow as tf
from simclr_keras.training.memory import peak_memory
before = peak_memory()
held = tf.random.stateless_uniform([2**26], [0, 1])  # 256 MiB
print(peak_memory() - before)
"""
    )
    assert 2**27 < float(grown) < 2**30
