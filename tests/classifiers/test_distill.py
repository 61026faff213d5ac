import logging

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from simclr_keras import distill
from simclr_keras.classifiers.distill import distillation_losses
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.errors import InputError


def distillation_loss(*arguments, **settings):
    return tf.reduce_mean(distillation_losses(*arguments, **settings))


def _logits(rng, count=6, classes=4):
    return [rng.normal(0, 3, (count, classes)).astype("float32") for _ in range(2)]


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("labels", [None, [-1] * 6, [3, -1, 0, -1, -1, 1]])
def test_the_loss_is_the_papers(rng, run_mode, temperature, weight, labels):
    teacher, student = _logits(rng)
    expected = reference.distillation(teacher, student, temperature, labels, weight)
    tensor = None if labels is None else tf.constant(labels, tf.int64)
    loss = run_mode(lambda t, s: distillation_loss(t, s, temperature, tensor, weight))
    np.testing.assert_allclose(loss(teacher, student), expected, rtol=2e-5, atol=1e-6)


def test_a_hand_worked_loss():
    # Teacher (3/4, 1/4) and student (1/2, 1/2) at temperature 2: the cross-entropy is ln 2.
    # With the true class 1 and a weight of 1/4: 3/4 ln 2 - 1/4 ln P(1), P at temperature 1.
    teacher = tf.constant([[2 * np.log(3.0), 0.0]], tf.float32)
    student = tf.constant([[1.0, 1.0]])
    assert float(distillation_loss(teacher, student, 2.0)) == pytest.approx(np.log(2))
    # A student (4/5, 1/5) at temperature 2 has logits 2 ln 4, 0: (16/17, 1/17) at 1.
    student = tf.constant([[2 * np.log(4.0), 0.0]], tf.float32)
    soft = -(0.75 * np.log(4 / 5) + 0.25 * np.log(1 / 5))
    found = float(distillation_loss(teacher, student, 2.0, tf.constant([1]), 0.25))
    assert found == pytest.approx(0.75 * soft + 0.25 * np.log(17), rel=1e-5)


def test_few_labels_weigh_what_is_documented(rng):
    """100 labels in 50,000 images: an epoch of batches gives the formula over the whole set."""
    teacher, student = _logits(rng, 50_000, 2)
    labels = np.full(50_000, -1)
    labels[rng.choice(50_000, 100, replace=False)] = rng.integers(0, 2, 100)
    batches = [
        float(distillation_loss(*batch[:2], 1.0, batch[2], 1.0, labelled_share=100 / 50_000))
        for batch in zip(*(np.split(x, 400) for x in (teacher, student, labels)))
    ]
    expected = reference.distillation(teacher, student, 1.0, labels, 1.0)
    assert np.mean(batches) == pytest.approx(expected, rel=1e-4)
    whole = distillation_loss(teacher, student, 1.0, labels, 1.0, labelled_share=100 / 50_000)
    assert float(whole) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("labelled", [4, 64])
def test_an_epoch_of_distillation_counts_every_label_alike(rng, caplog, labelled):
    """Of a student that cannot tell two classes apart every label costs ln 2."""
    pixels = keras.Input((4, 4, 3))
    mean = keras.layers.GlobalAveragePooling2D()(pixels)
    network = keras.Model(pixels, keras.layers.Dense(2, kernel_initializer="zeros")(mean))
    images = rng.integers(0, 256, (64, 4, 4, 3), "uint8")
    labels = np.where(np.arange(64) < labelled, 1, -1)
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        history = distill(
            *(network, network, images, labels),
            label_weight=1.0,
            epochs=1,
            batch_size=8,
            learning_rate=1e-6,
        ).history
    losses = [row["loss"] for row in history]
    assert len(losses) == 8 and np.mean(losses) == pytest.approx(np.log(2), rel=1e-4)
    if labelled == 64:
        assert losses == pytest.approx([np.log(2)] * 8, rel=1e-4) and not caplog.text
    else:
        assert "A batch of 8 holds 0.5 labelled images on average" in caplog.text


def test_no_gradient_reaches_the_teacher_and_half_precision_is_cast(rng):
    teacher, student = (tf.Variable(x) for x in _logits(rng))
    with tf.GradientTape() as tape:
        loss = distillation_loss(teacher, student, 0.5)
    gradients = tape.gradient(loss, [teacher, student])
    assert gradients[0] is None and np.abs(gradients[1]).max() > 0
    half = distillation_loss(tf.cast(teacher, tf.float16), tf.cast(student, tf.float16), 0.01)
    assert half.dtype == tf.float32 and np.isfinite(half)


def test_a_student_comes_to_predict_what_its_teacher_does(rng, tiny_encoder):
    images = rng.integers(0, 256, (32, 16, 16, 3), "uint8")
    teacher = build_classifier(tiny_encoder, 3, seed=1)
    teacher.layers[-1].set_weights([rng.normal(0, 3, (8, 3)), np.zeros(3)])
    pixels = keras.Input((16, 16, 3))
    small = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))
    student = build_classifier(small, 3)
    before = [teacher.get_weights(), student.get_weights()]
    distilled = distill(
        teacher,
        student,
        tf.data.Dataset.from_tensor_slices(images).batch(5),
        temperature=1.0,
        steps=60,
        batch_size=16,
        learning_rate=0.05,
    )
    # Weights and statistics of the teacher, and the student that was given, are as they were.
    for network, weights in zip((teacher, student), before):
        for a, b in zip(network.get_weights(), weights):
            np.testing.assert_array_equal(a, b)
    losses = [row["loss"] for row in distilled.history]
    assert losses[-1] < losses[0] - 0.05
    assert distilled.history[-1]["accuracy"] is None  # there are no labels


@pytest.mark.slow
def test_teacher_and_student_see_the_same_view(rng):
    """Both return their image's mean: only on the same view is their loss the entropy."""

    def network():
        pixels = keras.Input((4, 4, 3))
        mean = keras.layers.GlobalAveragePooling2D()(pixels)
        return keras.Model(pixels, keras.layers.Dense(3, "linear", name="classifier")(mean))

    teacher, student = network(), network()
    for model in (teacher, student):
        model.layers[-1].set_weights([20 * np.eye(3), np.zeros(3)])
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    distilled = distill(
        teacher, student, images, temperature=1.0, steps=1, batch_size=8, learning_rate=1e-6
    )
    other = distill(
        teacher, student, images, temperature=1.0, steps=1, batch_size=8, learning_rate=1e-6
    )
    assert distilled.history == other.history
    from simclr_keras import SimCLRAugmenter
    from simclr_keras.data.order import step_indices

    augmenter = SimCLRAugmenter(4, 0.0, grayscale_probability=0.0, blur=False)
    order = next(iter(step_indices(length=8, batch_size=8, seed=0, first_step=0, num_steps=1)))
    views = augmenter(images[order[1].numpy()], seed=(0, 0))[0].numpy()
    probabilities = reference.softmax(20 * views.mean(axis=(1, 2)))
    entropy = -(probabilities * np.log(probabilities)).sum(axis=1).mean()
    assert distilled.history[0]["loss"] == pytest.approx(entropy, rel=1e-4)


@pytest.mark.parametrize(
    "classes, arguments, text",
    [
        (3, {}, "the same classes. Received: 2 and 3 logits"),
        (2, dict(temperature=0.0), "`temperature` must be positive. Received: temperature=0.0"),
        (
            2,
            dict(label_weight=1.5),
            r"`label_weight` must be in \[0, 1\]. Received: label_weight=1.5",
        ),
        (2, dict(label_weight=0.5), "Received: label_weight=0.5, 4 images without labels"),
    ],
)
def test_what_cannot_be_distilled(tiny_encoder, classes, arguments, text):
    teacher, student = (build_classifier(tiny_encoder, n) for n in (2, classes))
    with pytest.raises(InputError, match=text):
        distill(teacher, student, np.zeros((4, 16, 16, 3), "uint8"), steps=1, **arguments)
