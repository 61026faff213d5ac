import keras
import numpy as np
import pytest

from simclr_keras import SGDLinearProbe, extract_features
from simclr_keras.data.datasets import load_source
from simclr_keras.data.order import step_indices
from simclr_keras.errors import RunFailure


def _colours(rng, count):
    """Images of one colour each: no crop or flip changes them, but any change of colour does."""
    labels = np.arange(count) % 3
    colours = rng.integers(60, 160, (count, 3))
    colours[np.arange(count), labels] += 95
    images = np.broadcast_to(colours[:, None, None], (count, 8, 8, 3)).astype("uint8")
    return images, labels


def _mean_colour():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))


@pytest.mark.slow
def test_equals_the_papers_updates_in_numpy(rng):
    images, labels = _colours(rng, 22)  # 5 batches of 4; two images are left out of each epoch
    probe = SGDLinearProbe(
        _mean_colour(), 8, epochs=3, batch_size=4, learning_rate=20.0, seed=5
    )
    probe.fit(images, labels)
    features = images[:, 0, 0] / 255.0
    weights, velocity = np.zeros((4, 3)), np.zeros((4, 3))  # the last row is the bias
    order = step_indices(length=22, batch_size=4, seed=5, first_step=0, num_steps=15)
    for step, index in order:
        x = np.hstack([features[index], np.ones((4, 1))])
        logits = x @ weights
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        gradient = x.T @ (p - np.eye(3)[labels[index]]) / 4
        rate = 20.0 * 4 / 256 * (1 + np.cos(np.pi * int(step) / 15)) / 2
        velocity = 0.9 * velocity - rate * gradient
        weights += 0.9 * velocity - rate * gradient
    expected = features @ weights[:3] + weights[3]
    np.testing.assert_allclose(probe.scores(features), expected, rtol=1e-4, atol=1e-4)
    assert probe.accuracy(features, labels) == (expected.argmax(1) == labels).mean() > 0.6


@pytest.mark.slow
def test_the_encoder_is_frozen_statistics_included(rng, tiny_encoder):
    tiny_encoder(rng.random((8, 16, 16, 3)), training=True)  # statistics other than 0 and 1
    before = [w.copy() for w in tiny_encoder.get_weights()]
    images = rng.integers(0, 256, (12, 16, 16, 3), "uint8")
    SGDLinearProbe(tiny_encoder, 16, epochs=3, batch_size=4).fit(images, np.arange(12) % 2)
    assert len(before) == 5
    for a, b in zip(before, tiny_encoder.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_equal_on_repeat_and_another_with_another_seed(rng, policy):
    keras.mixed_precision.set_global_policy(policy)
    images = rng.integers(0, 256, (12, 12, 10, 3), "uint8")
    features = rng.normal(size=(5, 3))

    def scores(seed):
        probe = SGDLinearProbe(_mean_colour(), 8, epochs=2, batch_size=5, seed=seed)
        return probe.fit(images, np.arange(12) % 2).scores(features)

    first, again, other = scores(0), scores(0), scores(1)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-5 and first.dtype == np.float32


@pytest.mark.slow
def test_views_are_flipped_unless_told_otherwise():
    images = np.zeros((16, 8, 8, 3), "uint8")
    images[::2, :, :4], images[1::2, :, 4:] = 255, 255  # bright on the left, on the right
    inputs = keras.Input((8, 8, 3))
    left = keras.layers.GlobalAveragePooling2D()(
        keras.layers.Cropping2D(((0, 0), (0, 4)))(inputs)
    )
    encoder, labels = keras.Model(inputs, left), np.arange(16) % 2

    def margin(flip):
        probe = SGDLinearProbe(encoder, 8, epochs=20, crop_area=(1.0, 1.0), flip=flip)
        scores = probe.fit(images, labels).scores(extract_features(encoder, images)[0])
        return np.abs(scores[:, 0] - scores[:, 1]).mean()

    assert margin(flip=False) > 5 * margin(flip=True)


@pytest.mark.slow
def test_labels_with_gaps_and_files_of_many_sizes(image_folder):
    source = load_source(str(image_folder), "all")
    source.labels = 4 + 3 * source.labels
    probe = SGDLinearProbe(_mean_colour(), 8, epochs=1, batch_size=5).fit(source)
    assert probe.classes_.tolist() == [4, 7]
    assert set(probe.predict(np.eye(3))) <= {4, 7}


def test_a_loss_that_is_no_number_ends_it(rng, tiny_encoder):
    tiny_encoder.set_weights([np.full_like(w, 1e30) for w in tiny_encoder.get_weights()])
    with pytest.raises(RunFailure, match="loss of linear evaluation by SGD is"):
        SGDLinearProbe(tiny_encoder, 16, epochs=2).fit(
            rng.integers(0, 256, (8, 16, 16, 3), "uint8"), np.arange(8) % 2
        )


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_wrong_arguments(name):
    with pytest.raises(ValueError, match=f"Received: {name}=0"):
        SGDLinearProbe(_mean_colour(), 8, **{name: 0})


def test_a_label_is_needed_for_every_image(rng):
    with pytest.raises(ValueError, match="1 labels of -1"):
        SGDLinearProbe(_mean_colour(), 8).fit(np.zeros((2, 8, 8, 3), "uint8"), [0, -1])
