import re

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from mirrored import CROPS, Mirrored

from simclr_keras import (
    LARS,
    NTXentLoss,
    ProjectionHead,
    SimCLR,
    SimCLRAugmenter,
    WarmupCosine,
    decoupled_nt_xent_loss,
)
from simclr_keras.objective.multi_view import contrast_views
from simclr_keras.objective.nt_xent import nt_xent_loss


def _model(encoder, **arguments):
    optimizer = arguments.pop("optimizer", None) or keras.optimizers.SGD(0.1)
    compile_arguments = arguments.pop("compile_arguments", {})
    augmenter = arguments.pop("augmenter", None) or SimCLRAugmenter(16, **CROPS)
    model = SimCLR(encoder, ProjectionHead(8), augmenter, **arguments)
    model.compile(optimizer=optimizer, **compile_arguments)
    return model


def _images(rng, count=8):
    return rng.integers(0, 256, (count, 16, 16, 3), "uint8")


def test_fit_logs_and_lowers_the_loss(rng, tiny_encoder):
    model = _model(tiny_encoder, optimizer=keras.optimizers.Adam(1e-2))
    logs = model.fit(_images(rng, 32), batch_size=16, epochs=15, verbose=0).history
    assert set(logs) == {"loss", "contrastive_accuracy"}
    assert logs["loss"][-1] < logs["loss"][0] - 0.1


@pytest.mark.optimized_graphs
def test_logged_loss_is_the_papers_on_the_models_own_projections(rng, tiny_encoder):
    model = _model(tiny_encoder, temperature=0.3, seed=4)
    images = _images(rng)
    views = model.augmenter(images, seed=(4, 0))
    features = model.encoder(tf.concat(views, 0), training=True)
    z = model.projection_head(features, training=True).numpy()
    expected = reference.nt_xent(z[:8], z[8:], 0.3).mean()
    logs = model.train_on_batch(images, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4)
    accuracy = reference.contrastive_accuracy(z[:8], z[8:])
    assert float(logs["contrastive_accuracy"]) == pytest.approx(accuracy, abs=1e-6)


@pytest.mark.parametrize("compile_arguments", [{}, {"run_eagerly": True}], ids=str)
@pytest.mark.parametrize("loss", ["nt-xent", "decoupled"])
def test_several_views_of_each_image(rng, tiny_encoder, loss, compile_arguments):
    augmenter = SimCLRAugmenter(16, views=3, **CROPS)
    probe = keras.layers.Dense(2)
    options = dict(temperature=0.3, seed=4, loss=loss, probe=probe)
    model = _model(
        tiny_encoder, augmenter=augmenter, compile_arguments=compile_arguments, **options
    )
    images, labels = _images(rng), np.arange(8) % 3 - 1
    views = augmenter(images, seed=(4, 0))
    assert len(views) == 3
    features = model.encoder(tf.concat(views, 0), training=True)
    z = tf.split(model.projection_head(features, training=True), 3)
    expected = contrast_views(z, 0.3, decoupled=loss == "decoupled")
    logits = model.probe(features).numpy()
    known = np.tile(labels, 3) >= 0
    hits = (logits.argmax(axis=1) == np.tile(labels, 3))[known].mean()
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert float(logs["loss"]) == pytest.approx(np.mean(expected.losses), rel=1e-4)
    accuracy = float(np.mean(expected.accuracy))
    assert float(logs["contrastive_accuracy"]) == pytest.approx(accuracy, abs=1e-6)
    assert float(logs["probe_accuracy"]) == pytest.approx(hits, abs=1e-6)


def test_more_than_two_views_need_a_loss_that_compares_them(tiny_encoder):
    augmenter = SimCLRAugmenter(16, views=3)
    with pytest.raises(ValueError, match="other losses take two batches .* with 3 views"):
        _model(tiny_encoder, augmenter=augmenter, loss=lambda a, b: a)


def test_an_augmenter_of_more_views_says_so(rng, tiny_encoder):
    class Three(keras.layers.Layer):
        def call(self, images, seed=None, first_position=0):
            return (tf.cast(images, tf.float32) / 255.0,) * 3

    model = _model(tiny_encoder, augmenter=Three())
    with pytest.raises(ValueError, match="as its attribute `views`. Received: 3 views"):
        model.train_on_batch(_images(rng))


def test_batch_norm_sees_both_views_at_once(rng, tiny_encoder):
    model = _model(tiny_encoder)
    images = _images(rng)
    convolution, norm = tiny_encoder.layers[1], tiny_encoder.layers[2]
    both = convolution(tf.concat(model.augmenter(images, seed=(0, 0)), 0)).numpy()
    model.train_on_batch(images)
    np.testing.assert_allclose(
        norm.moving_mean, 0.1 * both.mean((0, 1, 2)), rtol=1e-3, atol=1e-6
    )


def test_every_step_draws_other_views_and_a_rerun_the_same(rng, tiny_encoder):
    images = _images(rng)
    weights = tiny_encoder.get_weights()
    losses = []
    for _ in range(2):
        tiny_encoder.set_weights(weights)
        keras.utils.set_random_seed(0)
        model = _model(tiny_encoder, optimizer=keras.optimizers.SGD(0.0))
        losses.append(
            model.fit(images, batch_size=8, epochs=3, verbose=0, shuffle=False).history["loss"]
        )
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3
    assert int(model.step) == 3


def test_predict_returns_features(rng, tiny_encoder):
    model = _model(tiny_encoder)
    images = _images(rng, 5)
    expected = tiny_encoder(images / np.float32(255), training=False)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-5)


@pytest.mark.slow
def test_validation_uses_fixed_views_and_changes_nothing(rng, tiny_encoder):
    model = _model(tiny_encoder)
    images = _images(rng)
    model.fit(images, batch_size=8, validation_data=(images,), verbose=0)
    before = model.get_weights()
    results = [
        model.evaluate(images, batch_size=8, verbose=0, return_dict=True) for _ in (0, 1)
    ]
    assert results[0] == results[1]
    for a, b in zip(before, model.get_weights()):
        np.testing.assert_array_equal(a, b)


def _validation_loss(model, images, batch_size):
    """By the reference: the draws of each image are those of its place in the set."""
    losses = []
    for first in range(0, len(images), batch_size):
        batch = images[first : first + batch_size]
        views = model.augmenter(batch, seed=(model.seed, -1), first_position=first)
        features = model.encoder(tf.concat(views, 0), training=False)
        z = model.projection_head(features, training=False).numpy()
        losses.extend(reference.nt_xent(z[: len(batch)], z[len(batch) :], model.temperature))
    return np.mean(losses)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"run_eagerly": True},
        {"steps_per_execution": 2},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
    ],
)
def test_each_validation_image_has_draws_of_its_own(rng, tiny_encoder, arguments):
    """The same four images three times, and two of them: no batch repeats another's views."""
    model = _model(tiny_encoder, seed=3, compile_arguments=arguments)
    images = _images(rng, 4)
    repeated = np.concatenate([images, images, images, images[:2]])
    expected = _validation_loss(model, repeated, 4)
    of_first = _validation_loss(model, images, 4)
    assert abs(_validation_loss(model, repeated[:8], 4) - of_first) > 1e-3
    for _ in range(2):  # each evaluation begins at place 0 again
        assert model.evaluate(repeated, batch_size=4, verbose=0)[0] == pytest.approx(
            expected, rel=1e-4
        )
    assert model.evaluate(repeated, batch_size=16, verbose=0)[0] == pytest.approx(
        _validation_loss(model, repeated, 16), rel=1e-4
    )
    if "steps_per_execution" not in arguments:  # Keras 2.15 looks for a second batch
        found = model.test_on_batch(images, return_dict=True)["loss"]
        assert float(found) == pytest.approx(of_first, rel=1e-4)


@pytest.mark.slow
def test_validation_while_training_begins_at_the_first_place(rng, tiny_encoder):
    model = _model(tiny_encoder)
    images = _images(rng, 10)
    logs = model.fit(
        images[:8],
        batch_size=4,
        epochs=2,
        validation_data=(images,),
        validation_batch_size=4,
        verbose=0,
    ).history
    expected = _validation_loss(model, images, 4)
    assert logs["val_loss"][-1] == pytest.approx(expected, rel=1e-4)


def test_smaller_last_batch_trains_on_one_device(rng, tiny_encoder):
    model = _model(tiny_encoder)
    model.fit(_images(rng, 10), batch_size=4, verbose=0)
    assert int(model.step) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "decoupled, micro_batch_size, policy, compile_arguments",
    [
        (False, None, "float32", {}),
        (True, None, "float32", {}),
        (True, None, "float32", {"run_eagerly": True}),
        (True, None, "float32", {"jit_compile": True}),
        (True, 1, "mixed_float16", {}),
    ],
    ids=str,
)
def test_a_last_batch_of_one_image_teaches_nothing(
    rng, decoupled, micro_batch_size, policy, compile_arguments
):
    keras.mixed_precision.set_global_policy(policy)
    inputs = keras.Input((16, 16, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(inputs))
    model = SimCLR(
        keras.Model(inputs, features),
        ProjectionHead(8, normalization="none"),
        Mirrored(16),
        loss=NTXentLoss(decoupled=decoupled),
        micro_batch_size=micro_batch_size,
    )
    model.compile(keras.optimizers.SGD(0.1), **compile_arguments)
    losses, weights = [], []

    def on_train_batch_end(batch, logs):
        losses.append(logs["loss"])
        weights.append(model.encoder.get_weights() + model.projection_head.get_weights())

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=on_train_batch_end)
    model.fit(_images(rng, 5), batch_size=4, callbacks=[callback], verbose=0)
    assert losses[1] == pytest.approx(losses[0] * 4 / 5, abs=1e-6)  # the mean so far
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
def test_steps_per_execution_and_callbacks(rng, tiny_encoder):
    model = _model(tiny_encoder, compile_arguments={"steps_per_execution": 2})
    seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(logs))
    model.fit(_images(rng, 16), batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    assert len(seen) == 2 and int(model.step) == 8


@pytest.mark.slow
@pytest.mark.optimized_graphs
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_takes_a_step_close_to_float32s(rng, policy):
    def encoder():
        images = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="c")(images)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

    blocks = rng.integers(0, 256, (8, 4, 4, 3), "uint8")  # noise has nothing to tell apart
    images, start, moved = blocks.repeat(4, axis=1).repeat(4, axis=2), None, []
    for name in ("float32", policy):
        keras.mixed_precision.set_global_policy(name)
        optimizer = keras.optimizers.SGD(0.05)
        if name == "mixed_float16":  # Keras' first scale of 2**15 would skip the step
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=256)
        model = _model(encoder(), augmenter=Mirrored(16), optimizer=optimizer, temperature=1.0)
        start = start or model.get_weights()
        model.set_weights(start)
        loss = model.fit(images, batch_size=8, verbose=0).history["loss"]
        assert np.isfinite(loss).all()
        moved.append(model.encoder.get_weights()[0] - start[0])
    assert np.abs(moved[0]).max() > 1e-3
    # Processors without AVX-512 add up a bfloat16 convolution's gradient in bfloat16: 0.14 there.
    # A loss scale that is forgotten in one place gives 1 or 255.
    assert np.linalg.norm(moved[0] - moved[1]) < 0.35 * np.linalg.norm(moved[0])


@pytest.mark.slow
@pytest.mark.parametrize("decoupled", [False, True])
def test_a_loss_object_counts_as_its_function(rng, tiny_encoder, decoupled):
    images, start = _images(rng), tiny_encoder.get_weights()
    results = []
    for loss in (
        NTXentLoss(0.3, decoupled=decoupled),
        lambda a, b: _loss(decoupled)(a, b, 0.3),
        Unstreamed(NTXentLoss(0.3, decoupled=decoupled)),
    ):
        tiny_encoder.set_weights(start)
        keras.utils.set_random_seed(1)
        model = _model(tiny_encoder, augmenter=Mirrored(16), loss=loss)
        log = float(model.train_on_batch(images, return_dict=True)["loss"])
        results.append((log, tiny_encoder.get_weights()[0]))
    for log, kernel in results[1:]:
        assert log == pytest.approx(results[0][0], abs=1e-6)
        np.testing.assert_allclose(kernel, results[0][1], atol=1e-6)


def _loss(decoupled):
    return decoupled_nt_xent_loss if decoupled else nt_xent_loss


class Unstreamed(keras.losses.Loss):
    """Another Keras loss: its values count, not their mean."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def call(self, projections_1, projections_2):
        return self.loss.call(projections_1, projections_2)


@pytest.mark.slow
def test_custom_loss_gets_all_projections(rng, tiny_encoder):
    images, weights = _images(rng), tiny_encoder.get_weights()
    losses = []
    for loss in (None, lambda a, b: nt_xent_loss(a, b, 0.5)):
        tiny_encoder.set_weights(weights)
        keras.utils.set_random_seed(1)
        model = _model(tiny_encoder, augmenter=Mirrored(16), temperature=0.5, loss=loss)
        losses.append(float(model.train_on_batch(images, return_dict=True)["loss"]))
    assert losses[0] == losses[1]
    model = _model(tiny_encoder, loss=lambda a, b: tf.reduce_mean(a * b))
    with pytest.raises(
        ValueError, match=r"one value per pair, shape \(N,\). Received: shape \(\)"
    ):
        model.train_on_batch(images)


def test_regulariser_counts_once_in_loss_and_gradient(rng):
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, kernel_regularizer=keras.regularizers.L2(0.5))(images)
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    batch, start = _images(rng), encoder.get_weights()
    keras.utils.set_random_seed(0)
    with_penalty = _model(encoder, augmenter=Mirrored(16))
    head = with_penalty.projection_head.get_weights()
    loss = float(with_penalty.train_on_batch(batch, return_dict=True)["loss"])
    after = encoder.get_weights()[0]
    plain = keras.models.clone_model(encoder, clone_function=_without_regulariser)
    plain.set_weights(start)
    without = _model(plain, augmenter=Mirrored(16))
    without.projection_head.set_weights(head)
    plain_loss = float(without.train_on_batch(batch, return_dict=True)["loss"])
    assert loss - plain_loss == pytest.approx(0.5 * (start[0] ** 2).sum(), rel=1e-3)
    # One SGD step of 0.1 on 0.5 * |w|^2 moves by 0.1 * w.
    np.testing.assert_allclose(after, plain.get_weights()[0] - 0.1 * start[0], atol=1e-5)


def _without_regulariser(layer):
    config = layer.get_config()
    config.pop("kernel_regularizer", None)
    return layer.__class__.from_config(config)


def test_probe_learns_without_touching_the_encoder(rng, tiny_encoder):
    images = _images(rng)
    images[::2] //= 8  # dark or bright: linearly separable
    labels = np.array([0, 1] * 4)
    start, trained = tiny_encoder.get_weights(), []
    head = None
    for probe in (None, keras.layers.Dense(2)):
        tiny_encoder.set_weights(start)
        model = _model(tiny_encoder, augmenter=Mirrored(16), probe=probe)
        head = head or model.projection_head.get_weights()
        model.projection_head.set_weights(head)
        logs = model.fit(
            images, labels, batch_size=8, epochs=20, verbose=0, shuffle=False
        ).history
        trained.append(tiny_encoder.get_weights())
    assert logs["probe_loss"][-1] < logs["probe_loss"][0]
    for a, b in zip(*trained):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_images_without_label_are_left_out_of_the_probe(rng, tiny_encoder):
    images = _images(rng)
    results = []
    for labels in ([1, 0, 1, -1, -1, -1, -1, -1], [1, 0, 1, -1, -1, -1, -1, -1]):
        probe = keras.layers.Dense(2, kernel_initializer="zeros")
        model = _model(tiny_encoder, augmenter=Mirrored(16), probe=probe)
        results.append(model.test_on_batch(images, np.array(labels), return_dict=True))
    # Zero logits for two classes: ln 2 on the labelled images alone.
    assert float(results[0]["probe_loss"]) == pytest.approx(np.log(2), rel=1e-5)
    nothing = model.test_on_batch(images, np.full(8, -1), return_dict=True)
    assert float(nothing["probe_loss"]) == 0.0


def test_probe_without_labels_is_an_error(rng, tiny_encoder):
    model = _model(tiny_encoder, probe=keras.layers.Dense(2))
    with pytest.raises(ValueError, match="probe, so every batch must be"):
        model.train_on_batch(_images(rng))


def test_encoder_must_be_pooled():
    images = keras.Input((16, 16, 3))
    encoder = keras.Model(images, keras.layers.Conv2D(4, 3)(images))
    with pytest.raises(ValueError, match=re.escape("with output (None, 14, 14, 4)")):
        SimCLR(encoder, ProjectionHead(8), SimCLRAugmenter(16))


def test_floats_in_0_to_255_are_refused_with_the_mend(rng, tiny_encoder):
    model = _model(tiny_encoder)
    with pytest.raises(Exception, match="image_dataset_from_directory.*255.0"):
        model.fit(_images(rng).astype("float32"), batch_size=8, verbose=0)


def test_lars_with_a_schedule_trains(rng, tiny_encoder):
    model = _model(tiny_encoder, optimizer=LARS(WarmupCosine(0.5, 10, 2), weight_decay=1e-6))
    loss = model.fit(_images(rng), batch_size=4, epochs=5, verbose=0).history["loss"]
    assert np.isfinite(loss).all()


def test_saved_model_keeps_arguments_and_features(rng, tiny_encoder, tmp_path):
    model = _model(tiny_encoder, temperature=0.4, seed=7, micro_batch_size=4)
    model.fit(_images(rng), batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert (loaded.temperature, loaded.seed, loaded.micro_batch_size) == (0.4, 7, 4)
    images = _images(rng, 3)
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)
    for a, b in zip(loaded.projection_head.get_weights(), model.projection_head.get_weights()):
        np.testing.assert_array_equal(a, b)
