"""The loop that fine-tuning, distillation and the SGD probe share: resume, replicas."""

import json

import keras
import numpy as np
import pytest
from conftest import TWO_DEVICES

from simclr_keras import InputError, distill, fine_tune
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.keras_versions import layers_of

SETTINGS = dict(steps=24, batch_size=8, learning_rate=0.01, seed=3)
LABELS = np.arange(40) % 2


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (40, 16, 16, 3), "uint8")


def _equal(one, other):
    for a, b in zip(one.classifier.get_weights(), other.classifier.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert one.history == other.history and one.best_step == other.best_step


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lars", "adamw", "sgd"])
def test_interrupted_twice_ends_as_uninterrupted(
    tiny_encoder, images, tmp_path, interrupted_after, optimizer
):
    def train(**folder):
        labels = np.arange(40) % 2
        return fine_tune(
            tiny_encoder, images, labels, optimizer=optimizer, **SETTINGS, **folder
        )

    whole = train()
    for saves in (1, 4):
        with interrupted_after(saves):
            train(checkpoints_in=tmp_path)
    _equal(train(checkpoints_in=tmp_path), whole)


def test_a_training_that_stopped_early_is_over(tiny_encoder, images, tmp_path, monkeypatch):
    reached = iter([0.9, *[0.1] * 50])
    monkeypatch.setattr("simclr_keras.classifiers.record.accuracy", lambda *_: next(reached))
    arguments = (tiny_encoder, images, np.arange(40) % 2)
    first = fine_tune(*arguments, **SETTINGS, checkpoints_in=tmp_path)
    assert len(first.history) == 9 and first.best_step == 1
    _equal(fine_tune(*arguments, **SETTINGS, checkpoints_in=tmp_path), first)


@pytest.mark.parametrize(
    "changes, text",
    [
        (dict(learning_rate=0.02), r"learning_rate=0.01 \(now 0.02\). Repeat what"),
        (dict(labels=np.arange(40) // 2 % 2), "labels="),
        (dict(encoder="random"), "initial_weights="),
        (dict(validation_fraction=0.2), r"images=36 \(now 32\)"),
    ],
)
def test_checkpoints_of_another_training_are_refused(
    tiny_encoder, images, tmp_path, interrupted_after, changes, text
):
    def train(labels=LABELS, encoder=tiny_encoder, **changes):
        if encoder == "random":
            encoder = keras.models.clone_model(tiny_encoder)
        settings = {**SETTINGS, **changes}
        return fine_tune(encoder, images, labels, checkpoints_in=tmp_path, **settings)

    with interrupted_after(1):
        train()
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match=text):
        train(**changes)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_student_of_another_teacher_does_not_continue(
    tiny_encoder, images, tmp_path, interrupted_after
):
    student, *teachers = (build_classifier(tiny_encoder, 3, seed=seed) for seed in (1, 2, 3))
    with interrupted_after(1):
        distill(teachers[0], student, images, checkpoints_in=tmp_path, **SETTINGS)
    with pytest.raises(InputError, match=r"another training: teacher=\w+ \(now \w+\)\. "):
        distill(teachers[1], student, images, checkpoints_in=tmp_path, **SETTINGS)
    with pytest.raises(InputError, match=r"training: temperature=0.1 \(now 0.2\)\. "):
        distill(
            teachers[0], student, images, temperature=0.2, checkpoints_in=tmp_path, **SETTINGS
        )


def test_callbacks_of_keras_see_what_is_recorded(tiny_encoder, images):
    seen = []
    stop = keras.callbacks.EarlyStopping("validation_accuracy", mode="max", patience=3)
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: seen.append({**logs}))
    labels = np.arange(40) % 2
    settings = {**SETTINGS, "learning_rate": 1e-12}  # no accuracy ever improves
    tuned = fine_tune(tiny_encoder, images, labels, callbacks=[stop, watch], **settings)
    assert len(tuned.history) == 4
    names = ("loss", "accuracy", "validation_accuracy")
    assert seen == [{name: row[name] for name in names} for row in tuned.history]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["adamw", "lars"])
def test_mixed_precision_trains_what_float32_does(tiny_encoder, images, precision, optimizer):
    def train(**mixed):
        labels = np.arange(40) % 2
        return fine_tune(tiny_encoder, images, labels, optimizer=optimizer, **SETTINGS, **mixed)

    if optimizer == "lars" and precision == "float16":
        with pytest.raises(InputError, match="cannot scale the loss for float16"):
            train(mixed_precision=precision)
        return
    exact, mixed = train(), train(mixed_precision=precision)
    assert all(x.compute_dtype == "float32" for x in layers_of(mixed.classifier))
    differences = [abs(a["loss"] - b["loss"]) for a, b in zip(exact.history, mixed.history)]
    assert 0 < max(differences) < 0.02


@pytest.mark.slow
def test_distillation_continues_too(tiny_encoder, images, tmp_path, interrupted_after):
    teacher, student = (build_classifier(tiny_encoder, 3, seed=seed) for seed in (1, 2))
    labels = np.where(np.arange(40) % 4, -1, np.arange(40) % 3)

    def train(**folder):
        return distill(teacher, student, images, labels, label_weight=0.3, **SETTINGS, **folder)

    whole = train()
    with interrupted_after(7):
        train(checkpoints_in=tmp_path)
    _equal(train(checkpoints_in=tmp_path), whole)


TRAIN = (
    TWO_DEVICES
    + """
from simclr_keras.classifiers.fine_tune import build_classifier

draw = np.random.default_rng(0)
images = draw.integers(0, 256, (48, 16, 16, 3)).astype("uint8")
labels = draw.integers(0, 3, 48)
partly = np.where(draw.random(48) < 0.4, -1, labels)

def encoder():
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(pixels)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))

def train():
    settings = dict(steps=6, batch_size=16, crop_area_min=0.5)
    yield sk.fine_tune(
        encoder(), images, labels, optimizer="lars", learning_rate=10.0, **settings
    )
    teacher, student = (build_classifier(encoder(), 3, seed=seed) for seed in (1, 2))
    yield sk.distill(
        teacher, student, images, partly, label_weight=0.4, optimizer="sgd",
        learning_rate=0.3, **settings
    )

found = {"start": encoder().get_weights()[0].tolist()}
for count, strategy in strategies.items():
    with strategy.scope():
        found[count] = [
            ([w.tolist() for w in trained.classifier.get_weights()], trained.history)
            for trained in train()
        ]
print(json.dumps(found))
"""
)


@pytest.mark.slow
def test_two_replicas_train_as_one(run_python):
    found = json.loads(run_python(TRAIN).splitlines()[-1])
    for (one, history), (two, others) in zip(found["1"], found["2"]):
        assert np.abs(np.array(one[0]) - found["start"]).max() > 0.01  # it did train
        for a, b in zip(one, two):
            np.testing.assert_allclose(a, b, atol=1e-4)
        assert len(history) == len(others) == 6
        for a, b in zip(history, others):
            assert a == pytest.approx(b, rel=1e-4)
