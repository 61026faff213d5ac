"""Micro-batches: the gradient of the whole batch, whatever the networks contain."""

import json
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import TWO_DEVICES
from mirrored import CROPS, Mirrored

from simclr_keras import NTXentLoss, SimCLR, SimCLRAugmenter, nt_xent_loss
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.training import step

COMPILED = pytest.param({"jit_compile": True}, marks=pytest.mark.slow)


def _encoder(*extra):
    """Normalised within each image, so that images do not see one another."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, kernel_regularizer=keras.regularizers.L2(0.1))(
        images
    )
    x = keras.layers.GroupNormalization(4)(x)
    for layer in extra:
        x = layer(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def _model(encoder, micro_batch_size, optimizer=None, compile_arguments=None, **arguments):
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6)])
    model = SimCLR(
        encoder,
        head,
        arguments.pop("augmenter", None) or SimCLRAugmenter(16, **CROPS),
        probe=keras.layers.Dense(3),
        micro_batch_size=micro_batch_size,
        **arguments,
    )
    model.compile(optimizer or keras.optimizers.SGD(1.0), **(compile_arguments or {}))
    return model


def _networks(model):
    return [
        w for n in (model.encoder, model.projection_head, model.probe) for w in n.get_weights()
    ]


def _set(model, weights):
    weights = list(weights)
    for network in (model.encoder, model.projection_head, model.probe):
        count = len(network.get_weights())
        network.set_weights(weights[:count])
        del weights[:count]


def _step(model, images, labels, weights=None):
    """Logs of one step of SGD with rate 1, and the weights after it."""
    if weights is not None:
        _set(model, weights)
    logs = model.train_on_batch(images, labels, return_dict=True)
    return {name: float(value) for name, value in logs.items()}, _networks(model)


def _data(rng, count):
    return rng.integers(0, 256, (count, 16, 16, 3), "uint8"), rng.integers(-1, 3, count)


@pytest.fixture(scope="module")
def whole_batch():
    """256 images, their labels, the weights before a step on all, its logs and the weights after."""
    images, labels = _data(np.random.default_rng(0), 256)
    whole = _model(_encoder(), None)
    start = _networks(whole)
    return images, labels, start, *_step(whole, images, labels)


@pytest.mark.optimized_graphs
@pytest.mark.parametrize("compile_arguments", [{}, {"run_eagerly": True}, COMPILED], ids=str)
def test_8_micro_batches_of_32_give_the_gradient_of_256(whole_batch, compile_arguments):
    images, labels, start, expected_logs, expected = whole_batch
    logs, weights = _step(
        _model(_encoder(), 32, compile_arguments=compile_arguments), images, labels, start
    )
    for a, b in zip(expected, weights):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert max(np.abs(a - b).max() for a, b in zip(start, expected)) > 0.01
    assert logs == pytest.approx(expected_logs, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss",
    [NTXentLoss(0.5, decoupled=True), lambda a, b: nt_xent_loss(a, b, 0.7)],
    ids=["decoupled", "callable"],
)
def test_other_losses(rng, loss):
    images, labels = _data(rng, 12)
    views = {"augmenter": Mirrored(16), "loss": loss}
    whole = _model(_encoder(), None, **views)
    start = _networks(whole)
    (_, expected), (_, weights) = (
        _step(model, images, labels, start) for model in (whole, _model(_encoder(), 4, **views))
    )
    for a, b in zip(expected, weights):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("compile_arguments", [{}, {"run_eagerly": True}], ids=str)
def test_several_views(rng, compile_arguments):
    images, labels = _data(rng, 12)
    options = {"augmenter": SimCLRAugmenter(16, blur=False, views=3)}
    whole = _model(_encoder(), None, **options)
    start = _networks(whole)
    expected_logs, expected = _step(whole, images, labels)
    model = _model(_encoder(), 4, compile_arguments=compile_arguments, **options)
    logs, weights = _step(model, images, labels, start)
    for a, b in zip(expected, weights):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert logs == pytest.approx(expected_logs, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("compile_arguments", [{}, {"jit_compile": True}], ids=str)
def test_moving_averages_move_once_by_the_mean_of_the_micro_batches(rng, compile_arguments):
    norm = keras.layers.BatchNormalization(momentum=0.9)
    encoder = _encoder(norm)
    # Views that are the images, so that the statistics can be computed here.
    plain = {"color_jitter_probability": 0, "grayscale_probability": 0, "blur": False}
    augmenter = SimCLRAugmenter(
        16, color_jitter_strength=0, flip=False, crop_area=(1, 1), **plain
    )
    images, labels = _data(rng, 12)
    views = tf.concat(augmenter(images, seed=(0, 0)), axis=0).numpy()
    into_norm = keras.Model(encoder.input, norm.input)
    mean, variance = rng.normal(size=8), rng.uniform(1, 2, 8)
    norm.set_weights([np.ones(8), np.zeros(8), mean, variance])
    means, variances = [], []
    for start in (0, 4, 8):
        rows = np.r_[start : start + 4, 12 + start : 12 + start + 4]
        values = np.asarray(into_norm(views[rows]))
        means.append(values.mean((0, 1, 2)))
        variances.append(values.var((0, 1, 2)))
    model = _model(encoder, 4, augmenter=augmenter, compile_arguments=compile_arguments)
    _step(model, images, labels)
    _, _, new_mean, new_variance = norm.get_weights()
    np.testing.assert_allclose(new_mean, 0.9 * mean + 0.1 * np.mean(means, 0), atol=1e-5)
    # Keras 2.15 corrects the variance by n / (n - 1) where its kernel is a fused one.
    np.testing.assert_allclose(
        new_variance, 0.9 * variance + 0.1 * np.mean(variances, 0), rtol=2e-3
    )


def test_both_passes_are_the_same_with_dropout(rng, monkeypatch):
    images, labels = _data(rng, 8)
    if not KERAS_3:
        with pytest.raises(ValueError, match=r"random layers cannot.*Received: \['drop'\]"):
            _model(_encoder(keras.layers.Dropout(0.5, name="drop")), 4)
        return
    model = _model(
        _encoder(keras.layers.Dropout(0.5)), 4, compile_arguments={"run_eagerly": True}
    )
    seen, forward = [], step.forward

    def spy(*arguments, **options):
        features, projections = forward(*arguments, **options)
        seen.append(projections.numpy())
        return features, projections

    monkeypatch.setattr("simclr_keras.training.micro_batches.forward", spy)
    _step(model, images, labels)
    first_pass, second_pass = seen[:2], seen[2:]
    np.testing.assert_allclose(first_pass, second_pass, atol=1e-6)
    _step(model, images, labels)
    assert np.abs(seen[4] - seen[0]).max() > 1e-3  # and another step draws anew


def _translation():
    return keras.layers.RandomTranslation(0.4, 0.4, seed=1)


def _keras_cv_flip():
    keras_cv = pytest.importorskip("keras_cv")
    return keras_cv.layers.RandomFlip("horizontal_and_vertical", seed=1)


class _Drawn(SimCLRAugmenter):
    """Returns views that were drawn before."""

    views = None

    def call(self, images, seed=None, first_position=0):
        return self.drawn


@pytest.mark.slow
@pytest.mark.parametrize("compile_arguments", [{}, {"run_eagerly": True}, COMPILED], ids=str)
@pytest.mark.parametrize("layer", [_translation, _keras_cv_flip])
def test_both_passes_see_the_same_views_of_extra_layers(rng, layer, compile_arguments):
    if compile_arguments.get("jit_compile") and layer is _translation:
        pytest.skip("XLA has no kernel for it")
    images, labels = _data(rng, 16)
    draw = SimCLRAugmenter(16, **CROPS, extra_layers=[layer()])
    if compile_arguments.get("jit_compile"):  # the same state gives other numbers under XLA
        draw = tf.function(draw, jit_compile=True)
    # Places as tensors: compiled once, not for each.
    blocks = [
        draw(images[i : i + 4], seed=(0, 0), first_position=tf.constant(i))
        for i in range(0, 16, 4)
    ]
    drawn = _Drawn(16)
    drawn.drawn = tuple(np.concatenate(views) for views in zip(*blocks))
    whole = _model(_encoder(), None, augmenter=drawn, compile_arguments={"run_eagerly": True})
    start = _networks(whole)
    _, expected = _step(whole, images, labels)
    augmenter = SimCLRAugmenter(16, **CROPS, extra_layers=[layer()])
    model = _model(_encoder(), 4, augmenter=augmenter, compile_arguments=compile_arguments)
    _, weights = _step(model, images, labels, start)
    a, b = (
        np.concatenate([(after - before).ravel() for before, after in zip(start, moved)])
        for moved in (expected, weights)
    )
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.9999
    np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())


class _Noise(keras.layers.Layer):
    def call(self, images, training=False):
        return images + tf.random.normal(tf.shape(images), stddev=0.2)


def _cutout():
    return pytest.importorskip("keras_cv").layers.RandomCutout(0.5, 0.5)


@pytest.mark.slow
@pytest.mark.parametrize("compile_arguments", [{}, {"run_eagerly": True}, COMPILED], ids=str)
@pytest.mark.parametrize("layer", [_Noise, _cutout])
def test_draws_that_cannot_be_repeated_are_refused(rng, layer, compile_arguments):
    images, labels = _data(rng, 8)
    augmenter = SimCLRAugmenter(16, **CROPS, extra_layers=[layer()])
    model = _model(_encoder(), 4, augmenter=augmenter, compile_arguments=compile_arguments)
    with pytest.raises(ValueError, match="random numbers that cannot be repeated.*Received"):
        _step(model, images, labels)
    without = SimCLRAugmenter(16, **CROPS, extra_layers=[layer()])
    _step(_model(_encoder(), None, augmenter=without), images, labels)


def test_frozen_layers_stay_to_the_last_bit(rng):
    frozen = keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization()
    encoder = _encoder(*frozen)
    for layer in frozen:
        layer.trainable = False
        layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    before = [layer.get_weights() for layer in frozen]
    _step(
        _model(encoder, 4, augmenter=Mirrored(16)), *_data(rng, 12)
    )  # thirds are not exact in binary
    for layer, weights in zip(frozen, before):
        for a, b in zip(layer.get_weights(), weights):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_and_loss_scale(rng, policy):
    images, labels = _data(rng, 12)
    start = _networks(_model(_encoder(), None))
    trained = []
    for name, size in (("float32", None), (policy, 4)):
        keras.mixed_precision.set_global_policy(name)
        optimizer = keras.optimizers.SGD(0.1)
        if name == "mixed_float16":
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=256)
        views = {"augmenter": Mirrored(16), "temperature": 1.0}
        model = _model(_encoder(), size, optimizer, **views)
        trained.append(_step(model, images, labels, start)[1])
    for before, a, b in zip(start, *trained):
        assert np.abs(a - b).max() <= 0.05 * np.abs(a - before).max() + 1e-3


@pytest.mark.slow
def test_sizes_that_do_not_fit(rng):
    images, labels = _data(rng, 10)
    message = "must be a multiple of its micro-batch of 4 images"
    with pytest.raises(ValueError, match=message + r".*images.shape=\(10, 16, 16, 3\)"):
        _step(_model(_encoder(), 4, augmenter=Mirrored(16)), images, labels)
    model = _model(_encoder(), 4, augmenter=Mirrored(16))
    unknown = [tf.TensorSpec([None, 16, 16, 3], tf.uint8), tf.TensorSpec([None], tf.int64)]
    step = tf.function(lambda x, y: model.train_step((x, y)), input_signature=unknown)
    step(images[:8], labels[:8])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        step(images, labels)
    text = re.escape("`micro_batch_size` must be positive. Received: micro_batch_size=0")
    with pytest.raises(ValueError, match=text):
        _model(_encoder(), 0)


TRAIN = (
    TWO_DEVICES
    + """
from tests.mirrored import Mirrored

norm, micro = sys.argv[1], 4

def train(strategy):
    images = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), "uint8")
    if strategy.num_replicas_in_sync == 1:
        # Micro-batch i of two replicas is rows i of the one and of the other.
        images = images.reshape(2, 16 // micro, micro // 2, 16, 16, 3).swapaxes(0, 1)
        images = images.reshape(16, 16, 16, 3)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, strides=2, kernel_regularizer="l2")(inputs)
        if norm == "batch":
            x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
        x = keras.layers.Conv2D(8, 3, activation="relu")(x)
        encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
        head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6)])
        probe = keras.layers.Dense(2)
        model = sk.SimCLR(encoder, head, Mirrored(16), probe=probe, micro_batch_size=micro)
        model.compile(keras.optimizers.SGD(0.1))
    labels = (images.mean((1, 2, 3)) > 127).astype("int64")
    dataset = tf.data.Dataset.from_tensor_slices((images, labels))
    dataset = dataset.batch(16, drop_remainder=True).repeat(3)
    logs = model.fit(dataset, epochs=1, verbose=0).history
    weights = [w.tolist() for n in (encoder, head, probe) for w in n.get_weights()]
    return {"logs": logs, "weights": weights}

print(json.dumps([train(strategies[1]), train(strategies[2])]))
"""
)


@pytest.mark.parametrize("norm", ["none", pytest.param("batch", marks=pytest.mark.slow)])
def test_micro_batches_on_two_replicas(run_python, norm):
    one, two = json.loads(run_python(TRAIN, norm).splitlines()[-1])
    for a, b in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for name, values in one["logs"].items():
        assert values == pytest.approx(two["logs"][name], abs=1e-4), name


DRAWS = (
    TWO_DEVICES
    + """
seen = {}

class Recorded(sk.SimCLRAugmenter):
    def call(self, images, seed=None, first_position=0):
        view_1, view_2 = super().call(images, seed, first_position)
        keep = lambda place, view: seen.setdefault(int(place), []).append(view.numpy())
        tf.py_function(keep, [first_position, view_1], [])
        return view_1, view_2

with strategies[2].scope():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    augmenter = Recorded(16, extra_layers=[keras.layers.RandomBrightness(0.5, (0, 1))])
    model = sk.SimCLR(
        encoder, sk.ProjectionHead(8, normalization="none"), augmenter, micro_batch_size=4
    )
    model.compile(keras.optimizers.SGD(0.1))
images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), "uint8")
model.fit(tf.data.Dataset.from_tensor_slices(images).batch(12), epochs=1, verbose=0)
apart = {place: [float(np.abs(v - views[0]).max()) for v in views] for place, views in seen.items()}
print(json.dumps(apart))
"""
)


@pytest.mark.slow
def test_both_passes_draw_the_same_on_each_of_two_replicas(run_python):
    apart = json.loads(run_python(DRAWS).splitlines()[-1])
    assert apart == {str(place): [0.0, 0.0] for place in range(0, 12, 2)}
