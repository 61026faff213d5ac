"""`fine_tune(frozen=True)`: linear evaluation as a classifier."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import LinearProbe, extract_features, fine_tune
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.data.sources import EncodedSource
from simclr_keras.errors import InputError


def _images(rng, labels):
    """A class is a brightness."""
    noise = rng.normal(0, 20, (len(labels), 16, 16, 3))
    return np.clip(60 + 50 * labels[:, None, None, None] + noise, 0, 255).astype("uint8")


@pytest.mark.parametrize("classes", [2, 3])
def test_it_predicts_what_the_probe_does_and_the_network_stays(rng, tiny_encoder, classes):
    labels = np.arange(60) % classes
    images = _images(rng, labels)
    before = tiny_encoder.get_weights()
    tuned = fine_tune(tiny_encoder, images, labels, frozen=True, seed=3)
    features, _ = extract_features(tiny_encoder, images)
    probe = LinearProbe(seed=3).fit(features, labels)
    others = _images(rng, labels)
    logits = tuned.classifier.predict(others / np.float32(255), verbose=0)
    probabilities = probe._classifier.predict_proba(extract_features(tiny_encoder, others)[0])
    np.testing.assert_allclose(tf.nn.softmax(logits), probabilities, atol=1e-4)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.9
    copies = tuned.classifier.get_weights()[: len(before)]
    for old, now, copy in zip(before, tiny_encoder.get_weights(), copies):
        np.testing.assert_array_equal(old, now)
        np.testing.assert_array_equal(old, copy)


def test_it_says_how_well_it_fits(rng, tiny_encoder):
    labels = np.arange(60) % 3
    images = _images(rng, labels)
    tuned = fine_tune(tiny_encoder, images, labels, frozen=True)
    logits = tuned.classifier.predict(images / np.float32(255), verbose=0)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    (row,) = tuned.history
    assert row["loss"] == pytest.approx(float(np.mean(losses)), abs=1e-4)
    assert row["accuracy"] == np.mean(logits.argmax(axis=1) == labels)
    assert (tuned.best_step, tuned.plan, row["step"], row["learning_rate"]) == (
        0,
        None,
        0,
        None,
    )
    summary = tuned.summary()
    assert summary.pop("best_step") == 0
    assert set(summary.values()) == {None}


def test_a_class_without_labels_is_never_predicted(rng, tiny_encoder):
    labels = np.arange(40) % 2 * 2  # 0 and 2 of four
    images = _images(rng, labels)
    classifier = fine_tune(
        tiny_encoder, images, labels, frozen=True, num_classes=4, image_size=16
    ).classifier
    probabilities = tf.nn.softmax(classifier(images / np.float32(255)), axis=1).numpy()
    assert probabilities[:, [1, 3]].max() == 0
    assert np.mean(probabilities.argmax(axis=1) == labels) > 0.9


def test_layers_of_the_head_may_be_kept(rng, tiny_encoder):
    from simclr_keras import ProjectionHead

    head = ProjectionHead(output_dim=4)
    head.build((None, 8))
    labels = np.arange(40) % 2
    images = _images(rng, labels)
    tuned = fine_tune(tiny_encoder, images, labels, head, head_layers=1, frozen=True)
    same = build_classifier(tiny_encoder, 2, head, 1)
    for one, other in zip(tuned.classifier.layers[:-1], same.layers[:-1]):
        for a, b in zip(one.get_weights(), other.get_weights()):
            np.testing.assert_array_equal(a, b)


def test_images_that_cannot_be_read_are_left_out(rng, tiny_encoder):
    labels = np.arange(40) % 2
    encoded = [tf.io.encode_png(image).numpy() for image in _images(rng, labels)]
    # Its header is fine; what follows is not.
    encoded[5] = encoded[5][:100] + bytes(len(encoded[5]) - 100)
    source = EncodedSource(encoded, labels, ("dark", "bright"))
    tuned = fine_tune(tiny_encoder, source, frozen=True, image_size=16)
    kept = np.delete(np.arange(40), 5)
    others = fine_tune(tiny_encoder, source.subset(kept), frozen=True, image_size=16)
    for a, b in zip(tuned.classifier.get_weights(), others.classifier.get_weights()):
        np.testing.assert_array_equal(a, b)
    only_dark = [content if k % 2 == 0 else b"" for k, content in enumerate(encoded)]
    source = EncodedSource(only_dark, labels, ("dark", "bright"))
    with pytest.raises(
        InputError, match="two classes that can be read. Received: 1 in 20 images"
    ):
        fine_tune(tiny_encoder, source, frozen=True, image_size=16, max_bad_fraction=0.9)


def test_settings_of_training_are_refused(tiny_encoder):
    images, labels = np.zeros((4, 16, 16, 3), "uint8"), [0, 1, 0, 1]
    with pytest.raises(InputError, match="`frozen` fits only.*steps=3, optimizer=sgd"):
        fine_tune(tiny_encoder, images, labels, frozen=True, steps=3, optimizer="sgd")
    fine_tune(tiny_encoder, images, labels, frozen=True, seed=3, max_bad_fraction=0.5)


def test_under_a_strategy_the_classifier_is_the_same(rng, tiny_encoder):
    labels = np.arange(40) % 2
    images = _images(rng, labels)
    plain = fine_tune(tiny_encoder, images, labels, frozen=True).classifier
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        scoped = fine_tune(tiny_encoder, images, labels, frozen=True).classifier
    for a, b in zip(plain.get_weights(), scoped.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_classifier_is_saved_and_loaded(rng, tiny_encoder, tmp_path):
    labels = np.arange(40) % 2
    images = _images(rng, labels)
    tuned = fine_tune(tiny_encoder, images, labels, frozen=True).classifier
    tuned.save(tmp_path / "classifier.keras")
    loaded = keras.models.load_model(tmp_path / "classifier.keras")
    x = images / np.float32(255)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), tuned.predict(x, verbose=0), rtol=1e-5
    )
