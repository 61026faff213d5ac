import keras
import numpy as np
import pytest
from conftest import SMALL_NETWORK, saved_state

from simclr_keras import LARS, ProjectionHead, SimCLR, SimCLRAugmenter, build_encoder
from simclr_keras.data.datasets import pretraining_dataset
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError, Interrupted
from simclr_keras.training import budget as budget_module
from simclr_keras.training.budget import Budget, KeepToBudget
from simclr_keras.training.length import Length
from simclr_keras.training.loop import fit_in_intervals
from simclr_keras.training.schedules import WarmupCosineOfRun
from simclr_keras.training.signals import StopSignals

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture
def model():
    options = dict(SMALL_NETWORK)
    encoder = build_encoder(options.pop("encoder"), 8, **options)
    augmenter = SimCLRAugmenter(8, color_jitter_strength=0, grayscale_probability=0, blur=False)
    model = SimCLR(encoder, ProjectionHead(8), augmenter)
    model.compile(LARS(0.1))
    return model


@pytest.fixture
def train(model, rng):
    images = rng.integers(0, 256, (64, 8, 8, 3), "uint8")
    return lambda callbacks: model.fit(images, batch_size=8, callbacks=callbacks, verbose=0)


def _timed(monkeypatch, seconds_per_step):
    """Replaces the measured time of a step."""
    monkeypatch.setattr(budget_module._TimeSteps, "seconds_per_step", seconds_per_step)


@pytest.mark.slow
def test_timing_leaves_no_trace(model, train, monkeypatch):
    monkeypatch.setattr(budget_module, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(budget_module, "_SHARE", 0.0)
    before = saved_state(model)
    made = []
    counted = keras.callbacks.LambdaCallback(on_train_batch_end=lambda *_, **__: made.append(1))
    steps = Budget(1.0).steps(model, lambda c: train([*c, counted]), lambda total: total)
    assert len(made) == 4 and steps > 0  # the first is not timed, three are
    np.testing.assert_equal(saved_state(model), before)
    assert model.steps_made == 0


def test_the_steps_fill_what_is_left(model, train, monkeypatch):
    _timed(monkeypatch, 0.25)
    monkeypatch.setattr(budget_module, "_MOST_SECONDS", 0.0)
    budget = Budget(10.0)
    budget._parts.append(300.0)  # work that is repeated at the end: half of the time
    steps = budget.steps(model, train, lambda total: total)
    # 300 s less the steps that were timed and a checkpoint, at four steps a second.
    assert 900 < steps < 1200
    # The slowest worker decides: the largest of the negative numbers.
    agreed = lambda numbers: [-7] if numbers[0] < 0 else [1, 0]  # noqa: E731
    assert budget.steps(model, train, lambda total: total, None, agreed) == 7


def test_a_signal_while_steps_are_timed_ends_the_run(model, train):
    signals = StopSignals()
    signals.received = 15
    with pytest.raises(Interrupted, match="before the first step") as stopped:
        Budget(10.0).steps(model, train, lambda total: total, signals)
    assert stopped.value.exit_code == 143


def test_checkpoints_take_time_too(model, train, monkeypatch):
    _timed(monkeypatch, 1e-3)
    monkeypatch.setattr(budget_module, "_MOST_SECONDS", 0.0)
    rare, often = (
        Budget(1.0).steps(model, train, interval_of)
        for interval_of in (lambda total: total, lambda total: 1)
    )
    assert often < rare / 2


def test_a_budget_that_is_over_says_what_a_step_takes(model, train, monkeypatch):
    monkeypatch.setattr(budget_module, "_MOST_SECONDS", 0.0)
    with pytest.raises(InputError, match=r"a step takes .* s here.*Received: minutes=1e-05"):
        Budget(1e-5).steps(model, train, lambda total: total)


class _Clock:
    """Stands for the module `time`: a step takes `of_step` seconds."""

    now, of_step = 0.0, 1.0

    def perf_counter(self):
        return self.now


class _Machine(keras.callbacks.Callback):
    """Lets time pass: 30 s for the first step, and at times another speed."""

    def __init__(self, clock, speeds):
        super().__init__()
        self.clock, self.speeds = clock, speeds

    def on_train_batch_end(self, batch, logs=None):
        made = self.model.steps_made
        self.clock.of_step = self.speeds.get(made, self.clock.of_step)
        self.clock.now += 30.0 if made == 1 else self.clock.of_step


@pytest.mark.slow
@pytest.mark.parametrize(
    "speeds, steps", [({}, 60), ({1: 2.0}, 31), ({1: 0.5, 100: 1.0}, 110), ({40: 4.0}, 44)]
)
def test_a_run_ends_on_time_whatever_the_speed(model, monkeypatch, rng, speeds, steps):
    """Of 100 s, 30 go for the first step and 10 for what the end repeats."""
    clock = _Clock()
    monkeypatch.setattr(budget_module, "time", clock)
    budget = Budget(100 / 60)
    budget._parts.append(10.0)
    length, kept = Length(60), []
    schedule = WarmupCosineOfRun(0.1, 60, 0.1)
    source = ArraySource(rng.integers(0, 256, (16, 8, 8, 3), "uint8"))

    def batches_of(first, end, **rows):
        return pretraining_dataset(source, 8, seed=0, first_step=first, num_steps=end, **rows)

    keeping = KeepToBudget(budget, length, schedule, kept.append)
    callbacks = [_Machine(clock, speeds), keeping]
    fit_in_intervals(model, source, batches_of, 8, length, 6, callbacks, "Training")
    assert model.steps_made == length.steps == schedule.total_steps
    assert abs(length.steps - steps) <= 2
    assert kept[-1:] == ([] if length.steps == 60 else [length.steps])
    # Not later than an interval's slowest step allows, nor much earlier.
    slack = 6 * max([1.0, *speeds.values()])
    assert 90 - slack <= clock.now <= 90 + slack
    assert float(schedule(length.steps)) == pytest.approx(0.0, abs=1e-6)
