import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import ProjectionHead, fine_tune
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.classifiers.record import accuracy
from simclr_keras.data.file_source import FileSource
from simclr_keras.errors import InputError


def _images(rng, count, classes=2):
    """Dark and bright images: a class is a brightness."""
    labels = np.arange(count) % classes
    bright = (labels + 0.5) / classes * 255
    noise = rng.normal(0, 10, (count, 16, 16, 3))
    return np.clip(bright[:, None, None, None] + noise, 0, 255).astype("uint8"), labels


@pytest.fixture
def head():
    layer = ProjectionHead(output_dim=4, num_layers=3)
    layer.build((None, 8))
    # As after training: no gamma of 1, no mean of 0; kernels of both signs, so that ReLU cuts.
    draw = np.random.default_rng(5)
    layer.set_weights(
        [
            draw.uniform(0.5, 1.5, w.shape)
            * (draw.choice([-1, 1], w.shape) if w.ndim == 2 else 1)
            for w in layer.get_weights()
        ]
    )
    return layer


def test_a_head_that_is_not_built_begins_with_random_weights(rng, tiny_encoder):
    head = ProjectionHead(output_dim=4)
    classifier = build_classifier(tiny_encoder, 5, head, 1)
    assert classifier(rng.random((2, 16, 16, 3), "float32")).shape == (2, 5)
    assert not head.built  # it is the user's


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_the_classifier_sits_on_the_layer_of_the_head(rng, tiny_encoder, head, layers):
    classifier = build_classifier(tiny_encoder, 5, head, layers)
    images = rng.random((4, 16, 16, 3), "float32")
    hidden = np.array(head(tiny_encoder(images), layers=layers))
    kernel, bias = classifier.layers[-1].get_weights()
    np.testing.assert_allclose(classifier(images), hidden @ kernel + bias, atol=1e-5)
    # The layers after it are left out: encoder, `layers` pairs of kernel and norm, classifier.
    kernels = [w for w in classifier.trainable_variables if len(w.shape) == 2]
    assert len(kernels) == layers + 1


def test_training_leaves_encoder_and_head_alone_and_changes_all_of_its_own(
    rng, tiny_encoder, head
):
    images, labels = _images(rng, 16)
    before = [tiny_encoder.get_weights(), head.get_weights()]
    tuned = fine_tune(tiny_encoder, images, labels, head, steps=3, batch_size=8, seed=1)
    for network, weights in zip((tiny_encoder, head), before):
        for a, b in zip(network.get_weights(), weights):
            np.testing.assert_array_equal(a, b)
    start = build_classifier(tiny_encoder, 2, head, 1, seed=1)
    pairs = zip(tuned.classifier.get_weights(), start.get_weights())
    # Kernels, gamma, beta and the averages of batch norm: all have moved.
    assert all(not np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("optimizer", ["lars", "adamw", "sgd"])
def test_it_learns_and_reports(rng, tiny_encoder, optimizer):
    images, labels = _images(rng, 64)
    tuned = fine_tune(
        tiny_encoder,
        tf.data.Dataset.from_tensor_slices((images, labels)).batch(10),
        optimizer=optimizer,
        learning_rate=0.03,
        steps=60,
        batch_size=16,
    )
    assert [row["step"] for row in tuned.history] == list(range(3, 61, 3))
    assert tuned.history[-1]["loss"] < 0.5 * tuned.history[0]["loss"]
    assert tuned.history[-1]["learning_rate"] == pytest.approx(
        0.03 * (1 + np.cos(np.pi * 59 / 60)) / 2, rel=1e-4
    )
    held_out = _images(np.random.default_rng(9), 33)
    batches = tf.data.Dataset.from_tensor_slices((held_out[0] / np.float32(255), held_out[1]))
    logits_of = lambda x: tuned.classifier(x, training=False)  # noqa: E731
    assert accuracy(logits_of, batches.batch(10)) > 0.9


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(rng, tiny_encoder):
    images, labels = _images(rng, 20)
    both = [
        fine_tune(tiny_encoder, images, labels, steps=4, batch_size=4, seed=s).classifier
        for s in (3, 3, 4)
    ]
    weights = [np.concatenate([w.ravel() for w in c.get_weights()]) for c in both]
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-6)
    assert np.abs(weights[0] - weights[2]).max() > 1e-4


def test_the_validation_part_decides_the_weights_and_is_not_trained_on(
    rng, tiny_encoder, monkeypatch
):
    """Accuracies are made up: the best weights are those of the later of the best two."""
    images, labels = _images(rng, 40)
    seen, kept = [], []

    def made_up(logits_of, batches):
        seen.append(np.concatenate([x for _, x in batches.as_numpy_iterator()]))
        kept.append(logits_of(tf.zeros([1, 16, 16, 3])).numpy())
        return [0.1, 0.5, 0.5, *[0.4] * 20][len(seen) - 1]

    monkeypatch.setattr("simclr_keras.classifiers.record.accuracy", made_up)
    tuned = fine_tune(tiny_encoder, images, labels, steps=20, batch_size=8)
    # A tenth of twenty images in each of two classes.
    assert sorted(seen[0].tolist()) == [0, 0, 1, 1]
    assert tuned.best_step == 3
    assert len(tuned.history) == 3 + 8  # eight evaluations without a better one
    served = np.array(tuned.classifier(tf.zeros([1, 16, 16, 3])))
    np.testing.assert_allclose(served, kept[2], atol=1e-6)
    assert np.abs(served - kept[-1]).max() > 1e-6


def test_nothing_is_held_out_of_too_few_labels(rng, tiny_encoder):
    images, labels = _images(rng, 18)  # nine of each class
    tuned = fine_tune(tiny_encoder, images, labels, steps=2, batch_size=18)
    assert tuned.plan.batch_size == 18 and "validation_accuracy" not in tuned.history[0]
    assert tuned.best_step == 2


def test_images_without_a_label_are_left_out(rng, tiny_encoder):
    images, labels = _images(rng, 8)
    labels[2:] = -1
    tuned = fine_tune(tiny_encoder, images, labels, steps=1, num_classes=3)
    assert tuned.plan.batch_size == 2 and tuned.classifier.output_shape == (None, 3)


@pytest.mark.slow
def test_files_of_many_sizes(image_folder, tiny_encoder):
    paths = tuple(sorted(str(p.relative_to(image_folder)) for p in image_folder.rglob("*.png")))
    labels = [path.startswith("dogs") for path in paths]
    source = FileSource(paths, labels, ("cats", "dogs"), root=str(image_folder))
    tuned = fine_tune(tiny_encoder, source, steps=2, batch_size=4)
    assert np.isfinite(tuned.history[-1]["loss"])


def test_mixed_precision_keeps_float32_logits(rng):
    images, labels = _images(rng, 8)
    for policy in ("mixed_bfloat16", "mixed_float16"):
        keras.mixed_precision.set_global_policy(policy)
        pixels = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(4, 3, strides=4)(pixels)
        encoder = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
        tuned = fine_tune(encoder, images, labels, steps=2, optimizer="sgd")
        assert tuned.classifier(images / np.float32(255)).dtype == tf.float32
        assert np.isfinite(tuned.history[-1]["loss"])
    with pytest.raises(InputError, match="LARS .* float16.*Received: optimizer=lars"):
        fine_tune(encoder, images, labels, steps=2, optimizer="lars")


@pytest.mark.parametrize(
    "labels, arguments, text",
    [
        ([0, 0, -1, -1], {}, "at least two classes. Received: 2 labels of 1"),
        ([0, 1, 2, 2], dict(num_classes=2), "Received: num_classes=2, a label of 2"),
        (
            [0, 1, 0, 1],
            dict(validation_fraction=1.0),
            r"in \[0, 1\). Received: validation_fraction=1.0",
        ),
        (
            [0, 1, 0, 1],
            dict(validation_fraction=0.99),
            "without labels to learn from: 0 of 4 labels .* Received: validation_fraction=0.99",
        ),
        (
            [0, 1, 0, 1],
            dict(head_layers=4),
            "0 and 3, the number of layers .*head. Received: head_layers=4",
        ),
    ],
)
def test_what_cannot_be_fine_tuned(tiny_encoder, head, labels, arguments, text):
    arguments = {"head_layers": 1, **arguments}
    with pytest.raises(InputError, match=text):
        fine_tune(
            tiny_encoder, np.zeros((4, 16, 16, 3), "uint8"), labels, head, steps=1, **arguments
        )
