"""Intervals that were interrupted anywhere end as if they had not been."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK, saved_state

from simclr_keras import LARS, ProjectionHead, SimCLR, SimCLRAugmenter, build_encoder
from simclr_keras.data.bad_images import BadImages, TrainingImages
from simclr_keras.data.datasets import load_source, pretraining_dataset
from simclr_keras.data.sources import EncodedSource
from simclr_keras.errors import Interrupted
from simclr_keras.training import callbacks as callbacks_module
from simclr_keras.training.callbacks import RunHistory, SaveCheckpoints
from simclr_keras.training.checkpoints import Checkpoints
from simclr_keras.training.length import Length
from simclr_keras.training.loop import fit_in_intervals
from simclr_keras.training.run_rows import RunRows
from simclr_keras.training.signals import StopSignals

BATCH, INTERVAL, STEPS = 16, 3, 8


class _AskToStop(keras.callbacks.Callback):
    """A signal in the middle of a step."""

    def __init__(self, signals, step):
        super().__init__()
        self._signals, self._step = signals, step

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.steps_made + 1 == self._step:
            self._signals.received = 15


@pytest.fixture(scope="module")
def train(short_resnet, tmp_path_factory):
    """Makes a function that trains, or continues, as a new process would.

    It returns the first step, the rows of the history and the state.
    """
    keras.utils.set_random_seed(0)
    options = dict(SMALL_NETWORK)
    encoder = build_encoder(options.pop("encoder"), 8, **options)
    augmenter = SimCLRAugmenter(8, color_jitter_strength=0, grayscale_probability=0, blur=False)
    model = SimCLR(encoder, ProjectionHead(8), augmenter)
    model.compile(LARS(0.1))  # once: tracing is what takes time
    new = tf.train.Checkpoint(**model.checkpointed())
    state = new.write(str(tmp_path_factory.mktemp("new") / "state"))
    source = load_source("digits", "train")

    def batches_of(first, count, **rows):
        return pretraining_dataset(
            source, BATCH, seed=0, first_step=first, num_steps=count, **rows
        )

    def train(path, stop_after=0):
        new.read(state).assert_existing_objects_matched()
        for variable in model.means_variables:
            variable.assign(tf.fill(variable.shape, 123.0))  # as good as any
        signals, checkpoints = StopSignals(), Checkpoints(model, path / "checkpoints")
        first_step = checkpoints.restore()
        callbacks = [
            _AskToStop(signals, stop_after),
            RunHistory(RunRows(path / "history.csv", path / "tb"), BATCH, 50, lambda step: 0.1),
            SaveCheckpoints(checkpoints, signals),
        ]
        fit_in_intervals(
            model, source, batches_of, BATCH, Length(STEPS), INTERVAL, callbacks, "Training"
        )
        with (path / "history.csv").open() as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row.pop("images_per_second")
        return first_step, rows, saved_state(model)

    return train


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    return train(tmp_path_factory.mktemp("whole"))


# In the first interval, at its end, in the second one, one step before the end, at the end.
@pytest.mark.parametrize("step", [1, 3, 5, 7, 8])
def test_interrupted_after_any_step(tmp_path, train, whole, step):
    with pytest.raises(Interrupted, match=f"Stopped after step {step}, with a checkpoint") as s:
        train(tmp_path, stop_after=step)
    assert s.value.exit_code == 143
    first_step, rows, state = train(tmp_path)
    assert first_step == step
    assert [row["step"] for row in rows] == ["3", "6", "8"] and rows == whole[1]
    np.testing.assert_equal(state, whole[2])


def test_a_checkpoint_by_the_clock_does_not_disturb(tmp_path, monkeypatch, train, whole):
    saved = []
    save = Checkpoints.save
    monkeypatch.setattr(callbacks_module, "_MINUTES_BETWEEN_CHECKPOINTS", 0)
    monkeypatch.setattr(
        Checkpoints, "save", lambda self: saved.append(self._model.steps_made) or save(self)
    )
    _, rows, state = train(tmp_path)
    assert saved == [*range(1, STEPS + 1)]  # without the clock: 3, 6, 8
    assert rows == whole[1]
    np.testing.assert_equal(state, whole[2])


def test_workers_stop_and_save_together():
    """Asked every two steps; another worker wants to stop."""
    saved, asked = [], []

    def largest(numbers):
        asked.append(numbers)
        return [0, 15] if len(asked) == 2 else numbers

    checkpoints = type("", (), {"save": lambda self: saved.append(1)})()
    callback = SaveCheckpoints(checkpoints, StopSignals(), largest, agree_every=2)
    callback.set_params({"steps": 100})
    callback.set_model(type("", (), {"steps_made": 4})())
    with pytest.raises(Interrupted, match="after step 4"):
        for batch in range(10):
            callback.on_train_batch_end(batch)
    assert batch == 3 and asked == [[0, 0], [0, 0]] and saved == [1]


@pytest.mark.slow
def test_a_step_that_fails_because_of_an_image_is_made_once(short_resnet, tmp_path):
    """The same weights, steps and means as with the bad images replaced from the beginning."""
    draw = np.random.default_rng(0)
    encoded = [
        tf.io.encode_png(draw.integers(0, 256, (8, 8, 3), "uint8")).numpy() for _ in range(24)
    ]
    for bad in (3, 4, 17):
        encoded[bad] = b"no image"
    source = EncodedSource(encoded)
    options = dict(SMALL_NETWORK)
    encoder = build_encoder(options.pop("encoder"), 8, **options)
    augmenter = SimCLRAugmenter(8, color_jitter_strength=0, grayscale_probability=0, blur=False)
    model = SimCLR(encoder, ProjectionHead(8), augmenter)
    model.compile(LARS(0.1))
    state = tf.train.Checkpoint(**model.checkpointed()).write(str(tmp_path / "state"))

    def train(source, name):
        tf.train.Checkpoint(**model.checkpointed()).read(state)
        images = TrainingImages(
            source,
            lambda source, first, count, **rows: pretraining_dataset(
                source, 8, seed=0, first_step=first, num_steps=count, image_size=8, **rows
            ),
            8,
            0,
            BadImages(24, 0.5),
        )
        history = RunHistory(RunRows(tmp_path / name, tmp_path / "tb"), 8, 3, lambda step: 0.1)
        logs = fit_in_intervals(
            model, source, images.batches, 8, Length(7), 4, [history], "Training",
            recover=images.recover,
        )  # fmt: skip
        with (tmp_path / name).open() as file:
            return logs, [row["step"] for row in csv.DictReader(file)], saved_state(model)

    replaced = BadImages(24, 0.5).replaced(source, source.find_unreadable())
    (logs, steps, weights), expected = train(source, "a.csv"), train(replaced, "b.csv")
    assert steps == expected[1] == ["4", "7"] and model.steps_made == 7
    np.testing.assert_equal(weights, expected[2])
    assert logs["loss"] == expected[0]["loss"]
