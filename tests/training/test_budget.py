import keras
import numpy as np
import pytest
from conftest import SMALL_NETWORK, saved_state

from simclr_keras import LARS, ProjectionHead, SimCLR, SimCLRAugmenter, build_encoder
from simclr_keras.errors import InputError, Interrupted
from simclr_keras.training import budget as budget_module
from simclr_keras.training.budget import Budget
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
