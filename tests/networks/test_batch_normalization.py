import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.networks.batch_normalization import BatchNormalization


@pytest.fixture
def images(rng):
    return tf.constant(rng.normal(3.0, 2.0, (4, 5, 6, 3)), tf.float32)


def layer_for(images, **options):
    layer = BatchNormalization(synchronized=True, momentum=0.9, epsilon=1e-5, **options)
    layer.build(images.shape)
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 1.5, tuple(w.shape)) for w in layer.weights])
    return layer


def numpy_twin(x, gamma, beta, moving_mean, moving_variance, training):
    x = np.asarray(x, np.float64)
    if training:  # statistics of all positions, the variance divided by N * H * W
        mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        moving_mean = 0.9 * moving_mean + 0.1 * mean
        moving_variance = 0.9 * moving_variance + 0.1 * variance
    else:
        mean, variance = moving_mean, moving_variance
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, moving_mean, moving_variance


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["eager", "traced", "xla"])
def test_outputs_and_moving_statistics(images, mode, training):
    layer = layer_for(images)
    expected, mean, variance = numpy_twin(images, *layer.get_weights(), training)
    call = lambda x: layer(x, training=training)  # noqa: E731
    run = call if mode == "eager" else tf.function(call, jit_compile=mode == "xla")
    outputs = run(images)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)


def test_the_fused_kernel_is_used_and_its_gradients_are_keras_own(images, rng):
    ours = layer_for(images)
    keras_own = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    keras_own.build(images.shape)
    keras_own.set_weights(ours.get_weights())
    weights = tf.constant(rng.normal(size=images.shape), tf.float32)
    gradients = []
    for layer in (ours, keras_own):
        with tf.GradientTape() as tape:
            tape.watch(images)
            loss = tf.reduce_sum(layer(images, training=True) * weights)
        sources = [images, *layer.trainable_variables]
        gradients.append([g.numpy() for g in tape.gradient(loss, sources)])
    for mine, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    for training in (True, False):
        call = tf.function(lambda x, training=training: ours(x, training=training))
        operations = {
            op.type for op in call.get_concrete_function(images).graph.get_operations()
        }
        assert "FusedBatchNormV3" in operations


def test_frozen_it_keeps_its_statistics(images):
    layer = layer_for(images)
    layer.trainable = False
    before = layer.get_weights()
    expected, *_ = numpy_twin(images, *before, training=False)
    np.testing.assert_allclose(layer(images, training=True), expected, rtol=1e-5, atol=1e-5)
    for weight, value in zip(layer.get_weights(), before):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    "options, shape",
    [({"center": False}, (4, 5, 6, 3)), ({"scale": False}, (4, 5, 6, 3)), ({}, (20, 3))],
)
def test_what_the_kernel_cannot_do_is_left_to_keras(rng, options, shape):
    images = tf.constant(rng.normal(size=shape), tf.float32)
    layer = layer_for(images, **options)
    keras_own = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=True, **options
    )
    keras_own.build(images.shape)
    keras_own.set_weights(layer.get_weights())
    for training in (True, False):
        np.testing.assert_allclose(
            layer(images, training=training),
            keras_own(images, training=training),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("mode", ["eager", "traced"])
@pytest.mark.parametrize("training", [True, False])
def test_half_precision_stays_in_it_and_has_statistics_in_float32(
    images, dtype, mode, training
):
    keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
    layer = layer_for(images)
    images = tf.cast(images, dtype)
    expected, mean, variance = numpy_twin(
        tf.cast(images, tf.float32), *layer.get_weights(), training=training
    )
    call = lambda x: layer(x, training=training)  # noqa: E731
    outputs = (call if mode == "eager" else tf.function(call))(images)
    assert outputs.dtype == dtype
    # bfloat16 has 8 bits, and outputs reach 8: they are spaced by 1/32.
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, rtol=0, atol=1 / 32)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-4)
    assert {w.dtype for w in layer.weights} <= {"float32", tf.float32}


@pytest.mark.parametrize(
    "gpus, fused", [([], {"bfloat16"}), (["gpu"], {"bfloat16", "float16"})]
)
def test_half_precision_is_fused_where_that_is_fast(images, monkeypatch, gpus, fused):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    for dtype in ("bfloat16", "float16"):
        keras.mixed_precision.set_global_policy(f"mixed_{dtype}")
        layer = layer_for(images)
        call = tf.function(lambda x: layer(x, training=True))  # noqa: B023
        graph = call.get_concrete_function(tf.cast(images, dtype)).graph
        operations = {op.type for op in graph.get_operations()}
        assert ("FusedBatchNormV3" in operations) == (dtype in fused)


def test_gradients_in_half_precision(images, rng):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    weights = tf.constant(rng.normal(size=images.shape), tf.float32)
    images = tf.cast(images, tf.bfloat16)
    gradients = []
    for policy in ("mixed_bfloat16", "float32"):
        keras.mixed_precision.set_global_policy(policy)
        layer = layer_for(images)
        inputs = tf.cast(images, layer.compute_dtype)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.cast(layer(inputs, training=True), tf.float32)
            loss = tf.reduce_sum(outputs * weights)
        sources = [inputs, *layer.trainable_variables]
        gradients.append([tf.cast(g, tf.float32) for g in tape.gradient(loss, sources)])
    for half, full in zip(*gradients, strict=True):
        error = np.abs(half - full).max() / np.abs(full).max()
        assert error < 0.01


@pytest.mark.slow
def test_two_replicas_have_the_statistics_of_one(run_python):
    # The fused kernel sees one replica only: here Keras' synchronised path must be taken.
    output = run_python(
        """
import json, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from simclr_keras.networks.batch_normalization import BatchNormalization
images = np.random.default_rng(0).normal(3, 2, (8, 5, 6, 3)).astype("float32")
means = []
for strategy in (
    tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]), tf.distribute.get_strategy()
):
    with strategy.scope():
        layer = BatchNormalization(synchronized=True, momentum=0.9)
        layer.build((None, 5, 6, 3))
    count = strategy.num_replicas_in_sync
    parts = strategy.experimental_distribute_values_from_function(
        lambda c: tf.constant(np.split(images, count)[c.replica_id_in_sync_group])
    ) if count > 1 else tf.constant(images)
    strategy.run(tf.function(lambda x: layer(x, training=True)), args=(parts,))
    means.append([w.numpy().tolist() for w in layer.weights[2:]])
print(json.dumps(means))
"""
    )
    two, one = (np.array(m) for m in json.loads(output.splitlines()[-1]))
    np.testing.assert_allclose(two, one, rtol=1e-5)
    assert np.abs(one[0]).min() > 0.1


def test_saved_and_loaded(images, tmp_path):
    inputs = keras.Input((5, 6, 3))
    model = keras.Model(inputs, BatchNormalization(synchronized=True, momentum=0.9)(inputs))
    model.save(tmp_path / "norm.keras")
    loaded = keras.models.load_model(tmp_path / "norm.keras").layers[-1]
    assert type(loaded) is BatchNormalization
    assert (loaded.synchronized, loaded.momentum) == (True, 0.9)
