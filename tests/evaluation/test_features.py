import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import LinearProbe, extract_features


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 64])
def test_every_example_counts_once_at_any_batch_size(rng, tiny_encoder, batch_size):
    images = rng.random((10, 16, 16, 3)).astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(10))).batch(batch_size)
    features, labels = extract_features(tiny_encoder, dataset)
    np.testing.assert_array_equal(labels, np.arange(10))
    np.testing.assert_allclose(features, tiny_encoder(images, training=False), atol=1e-6)


def test_extraction_changes_no_weight_and_no_statistic(rng, tiny_encoder):
    before = [w.copy() for w in tiny_encoder.get_weights()]
    images = rng.integers(0, 256, (6, 16, 16, 3), "uint8")
    features, labels = extract_features(tiny_encoder, images)
    LinearProbe().fit(features, [0, 1] * 3)
    assert labels.tolist() == [-1] * 6 and features.dtype == np.float32
    for a, b in zip(before, tiny_encoder.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_features_are_float32_under_mixed_precision(rng):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    inputs = keras.Input((8, 8, 3))
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    assert extract_features(encoder, rng.random((2, 8, 8, 3)))[0].dtype == np.float32


def test_no_images_is_an_error(tiny_encoder):
    with pytest.raises(ValueError, match="`dataset` has no images"):
        extract_features(tiny_encoder, np.zeros((0, 16, 16, 3), "uint8"))


SCRIPT = """
import numpy as np, tensorflow as tf, keras
import simclr_keras as sk

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(synchronized=True)(inputs)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
images = np.random.default_rng(0).random((11, 8, 8, 3)).astype("float32")
expected = images.mean((1, 2)) / np.sqrt(1.001)
for batch_size in (1, 2, 3, 4, 11, 64):
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(11))).batch(batch_size)
    outside = sk.extract_features(encoder, dataset)
    with strategy.scope():
        inside = sk.extract_features(encoder, dataset)
    for features, labels in (outside, inside):
        assert labels.tolist() == list(range(11)), labels
        np.testing.assert_allclose(features, expected, atol=1e-5)
print("counted")
"""


def test_every_example_counts_once_under_a_strategy(run_python):
    assert run_python(SCRIPT).splitlines()[-1] == "counted"


def test_images_in_0_to_255(tiny_encoder, rng):
    images = rng.integers(0, 256, (4, 16, 16, 3), "uint8")
    floats = extract_features(tiny_encoder, images.astype("float32"), value_range=(0, 255))[0]
    np.testing.assert_allclose(floats, extract_features(tiny_encoder, images)[0], rtol=1e-6)
