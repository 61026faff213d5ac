"""The loop that fine-tuning, distillation and the SGD probe share: resume, replicas."""

import json

import numpy as np
import pytest

from simclr_keras import distill, fine_tune
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.training.callbacks import SaveCheckpoints

SETTINGS = dict(steps=24, batch_size=8, learning_rate=0.01, seed=3)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (40, 16, 16, 3), "uint8")


@pytest.fixture
def stop_after(monkeypatch):
    """Makes training end as by Ctrl-C after so many checkpoints."""

    def stop(count):
        save, saved = SaveCheckpoints.on_epoch_end, []

        def interrupted(self, epoch, logs=None):
            save(self, epoch, logs)
            saved.append(epoch)
            if len(saved) == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(SaveCheckpoints, "on_epoch_end", interrupted)

    return stop


def _equal(one, other):
    for a, b in zip(one.classifier.get_weights(), other.classifier.get_weights()):
        np.testing.assert_array_equal(a, b)
    assert one.history == other.history and one.best_step == other.best_step


@pytest.mark.parametrize("optimizer", ["lars", "adamw", "sgd"])
@pytest.mark.parametrize("saves", [1, 5, 24])
def test_interrupted_ends_as_uninterrupted(
    tiny_encoder, images, tmp_path, stop_after, optimizer, saves
):
    def train(**folder):
        labels = np.arange(40) % 2
        return fine_tune(
            tiny_encoder, images, labels, optimizer=optimizer, **SETTINGS, **folder
        )

    whole = train()
    stop_after(saves)
    if len(whole.history) >= saves:
        with pytest.raises(KeyboardInterrupt):
            train(checkpoints_in=tmp_path)
    _equal(train(checkpoints_in=tmp_path), whole)


def test_a_training_that_stopped_early_is_over(tiny_encoder, images, tmp_path, monkeypatch):
    reached = iter([0.9, *[0.1] * 50])
    monkeypatch.setattr("simclr_keras.classifiers.training.accuracy", lambda *_: next(reached))
    arguments = (tiny_encoder, images, np.arange(40) % 2)
    first = fine_tune(*arguments, **SETTINGS, checkpoints_in=tmp_path)
    assert len(first.history) == 9 and first.best_step == 1
    _equal(fine_tune(*arguments, **SETTINGS, checkpoints_in=tmp_path), first)


def test_distillation_continues_too(tiny_encoder, images, tmp_path, stop_after):
    teacher, student = (build_classifier(tiny_encoder, 3, seed=seed) for seed in (1, 2))
    labels = np.where(np.arange(40) % 4, -1, np.arange(40) % 3)

    def train(**folder):
        return distill(teacher, student, images, labels, label_weight=0.3, **SETTINGS, **folder)

    whole = train()
    stop_after(7)
    with pytest.raises(KeyboardInterrupt):
        train(checkpoints_in=tmp_path)
    _equal(train(checkpoints_in=tmp_path), whole)


TRAIN = """
from conftest import TWO_DEVICES
exec(TWO_DEVICES)
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

settings = dict(steps=6, batch_size=16, learning_rate=2e-3, crop_area_min=0.5)
found = {}
for count, strategy in strategies.items():
    with strategy.scope():
        for name in ("lars", "sgd"):
            tuned = sk.fine_tune(encoder(), images, labels, optimizer=name, **settings)
            taught = sk.distill(
                build_classifier(encoder(), 3, seed=1), build_classifier(encoder(), 3, seed=2),
                images, partly, label_weight=0.4, optimizer=name, **settings,
            )
            for kind, trained in (("tuned", tuned), ("taught", taught)):
                weights = np.concatenate([w.ravel() for w in trained.classifier.get_weights()])
                found[f"{kind} {name} {count}"] = [weights.tolist(), trained.history]
print(json.dumps(found))
"""


def test_two_replicas_train_as_one(run_python):
    from conftest import ROOT

    environment = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
    found = json.loads(run_python(TRAIN, env=environment).splitlines()[-1])
    for name in ("tuned lars", "tuned sgd", "taught lars", "taught sgd"):
        (one, history), (two, others) = (found[f"{name} {count}"] for count in (1, 2))
        np.testing.assert_allclose(one, two, atol=2e-5)
        assert len(history) == len(others) == 6
        for a, b in zip(history, others):
            assert a == pytest.approx(b, rel=1e-4), name
