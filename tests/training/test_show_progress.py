import logging
import sys
import threading
import time
import types

import pytest

from simclr_keras.training import show_progress
from simclr_keras.training.length import Length
from simclr_keras.training.show_progress import ShowProgress


class _Clock:
    """Stands for the module `time`."""

    now = 100.0
    strftime, localtime, time = time.strftime, time.localtime, time.time

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = _Clock()
    monkeypatch.setattr(show_progress, "time", clock)
    return clock


@pytest.fixture
def lines(caplog):
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        yield lambda: [record.getMessage() for record in caplog.records]


def _progress(**options):
    progress = ShowProgress("Training", 8, Length(10), **options)
    shown = types.SimpleNamespace(steps_made=0, shown=lambda logs: logs)
    progress.set_model(shown)
    return progress


def test_an_interval_ends_with_a_line(clock, lines):
    wait = types.SimpleNamespace(seconds=0.0)
    with _progress(wait=wait) as progress:
        progress.on_train_begin()
        clock.now += 7  # the first step, with tracing: not part of the speed
        progress.on_train_batch_end(0, {})
        for batch in (1, 2):
            clock.now, wait.seconds = clock.now + 2, wait.seconds + 0.5
            progress.on_train_batch_end(batch, {})
        progress.on_epoch_end(0, {"loss": 4.51234, "contrastive_accuracy": 0.25})
    # 16 images in 4 s, 1 s of them waiting; 7 steps to go at 2 s.
    assert lines() == [
        "step 3/10  loss 4.512  contrastive accuracy 0.25  4 images/s  25% waiting for data  14 s left"
    ]


def test_the_time_of_the_whole_run_is_told_once_with_advice(clock, lines):
    told = []
    with _progress(advise=lambda seconds: told.append(seconds) or "Too slow.") as progress:
        progress.on_train_begin()
        for batch in range(8):
            clock.now += 30 if batch == 0 else 2
            progress.on_train_batch_end(batch, {})
    estimate, advice = lines()
    # The first step is not counted; then three steps of 2 s are the first that take over 5 s.
    assert estimate.startswith("4 images/s over 3 steps: the whole of 10 steps takes 20 s, and")
    assert "Peak memory so far: " in estimate and advice == "Too slow." and told == [20.0]


@pytest.mark.parametrize("steps", [0, 2])
def test_a_long_step_is_not_silent(monkeypatch, lines, steps):
    monkeypatch.setattr(show_progress, "SILENCE_SECONDS", 0.05)
    with _progress() as progress:
        progress.on_train_begin()
        for batch in range(steps):
            progress.on_train_batch_end(batch, {"loss": 1.0})
        deadline = time.monotonic() + 30
        while not lines() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert f"step {steps}/10  " in lines()[0] and f"(step {steps + 1} has taken" in lines()[0]
    assert ("loss 1" if steps else "preparing the first step") in lines()[0]
    count = threading.active_count()
    time.sleep(0.2)
    assert threading.active_count() == count  # nothing speaks after the end


def test_a_terminal_gets_a_bar_with_the_numbers_below(monkeypatch, lines):
    written = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "write", lambda text: written.append(text) or len(text))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich looks at more than `isatty`
    logging.getLogger("simclr_keras").setLevel(logging.INFO)
    with _progress() as progress:
        progress.on_train_begin()
        progress.on_train_batch_end(0, {"loss": 4.5})
    text = "".join(written)
    assert "Training" in text and "1/10" in text and "loss 4.5" in text
