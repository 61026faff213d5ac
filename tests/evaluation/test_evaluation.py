import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from simclr_keras import LinearProbe, extract_features, knn_accuracy
from simclr_keras.evaluation.knn import knn_predict
from simclr_keras.evaluation.labels import draw_labels_per_class


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


@pytest.mark.parametrize("k", [1, 3, 20, 1000])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_knn_equals_the_plain_loops(rng, k, temperature):
    train, test = rng.normal(size=(60, 5)), rng.normal(size=(25, 5))
    labels = rng.integers(0, 4, 60)
    expected = reference.knn(train, labels, test, k, temperature)
    np.testing.assert_array_equal(knn_predict(train, labels, test, k, temperature), expected)


def test_knn_by_hand():
    train = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 5.0]])
    labels = np.array([0, 1, 1, 2])
    query = np.array([[2.0, 0.0]])  # cosines 1, 0.8, 0.6, 0
    assert knn_predict(train, labels, query, k=1)[0] == 0
    # At temperature 1 class 1 has e^-0.2 + e^-0.4 = 1.49 votes against 1; at 0.1 it has 0.15.
    assert knn_predict(train, labels, query, k=3, temperature=1.0)[0] == 1
    assert knn_predict(train, labels, query, k=3, temperature=0.1)[0] == 0


def test_classes_that_only_one_part_has():
    train, labels = np.eye(3), np.array([0, 5, 2])
    assert knn_accuracy(train, labels, np.eye(3), np.array([0, 5, 7]), k=1) == pytest.approx(
        2 / 3
    )


def test_knn_checks_its_arguments():
    with pytest.raises(ValueError, match="1 labels of -1"):
        knn_predict(np.eye(2), [0, -1], np.eye(2))
    with pytest.raises(ValueError, match="Received: k=0"):
        knn_predict(np.eye(2), [0, 1], np.eye(2), k=0)
    with pytest.raises(ValueError, match="Received: temperature=0"):
        knn_predict(np.eye(2), [0, 1], np.eye(2), temperature=0)
    with pytest.raises(ValueError, match="3 labels, 2 features"):
        knn_predict(np.eye(2), [0, 1, 1], np.eye(2))


def _blobs(rng, per_class, spread=0.3):
    centres = np.array([[0, 0, 3], [0, 3, 0], [3, 0, 0]])
    labels = np.repeat(np.arange(3), per_class)
    return centres[labels] + spread * rng.normal(size=(len(labels), 3)), labels


def test_probe_separates_what_is_separable(rng):
    probe = LinearProbe().fit(*_blobs(rng, 40))
    assert probe.accuracy(*_blobs(rng, 40)) == 1.0
    assert probe.strength_source == "validation" and probe.strength_ in probe.strengths
    assert probe.classes_.tolist() == [0, 1, 2]


def test_probe_chooses_a_strength_that_generalises(rng):
    # 60 noise dimensions for 24 examples: the weakest regularisation of these is the worst.
    features, labels = _blobs(rng, 8, spread=1.0)
    test, test_labels = _blobs(rng, 200, spread=1.0)
    noise = [5 * rng.normal(size=(len(x), 60)) for x in (features, test)]
    features, test = np.hstack([features, noise[0]]), np.hstack([test, noise[1]])
    chosen = LinearProbe(strengths=(1e-3, 1e3)).fit(features, labels)
    scores = {
        s: LinearProbe(strengths=(s,)).fit(features, labels).accuracy(test, test_labels)
        for s in (1e-3, 1e3)
    }
    assert chosen.accuracy(test, test_labels) == scores[chosen.strength_]


def test_probe_with_one_label_per_class_uses_the_default(rng):
    probe = LinearProbe().fit(*_blobs(rng, 1))
    assert (probe.strength_, probe.strength_source) == (1.0, "default")


def test_probe_checks_its_labels():
    with pytest.raises(ValueError, match="1 labels of -1"):
        LinearProbe().fit(np.eye(2), [0, -1])
    with pytest.raises(ValueError, match="at least two classes. Received: 1 in 2"):
        LinearProbe().fit(np.eye(2), [1, 1])


def test_draws_are_stratified_seeded_and_skip_unlabelled():
    labels = np.array([0] * 10 + [1] * 20 + [-1] * 5)
    drawn = draw_labels_per_class(labels, 3, seed=1)
    assert np.bincount(labels[drawn]).tolist() == [3, 3]
    np.testing.assert_array_equal(drawn, draw_labels_per_class(labels, 3, seed=1))
    assert drawn.tolist() != draw_labels_per_class(labels, 3, seed=2).tolist()
    with pytest.raises(ValueError, match="class 0 has. Received: per_class=11, 10 examples"):
        draw_labels_per_class(labels, 11, seed=0)
