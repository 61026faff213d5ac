"""`ShowProgress`: how far a training is, how fast it is, and when it will end."""

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable

import keras

from ..progress import SILENCE_SECONDS, duration, progress_bar
from .input_wait import InputWait
from .length import Length
from .memory import peak_memory

_LOGGER = logging.getLogger("simclr_keras")
_WINDOW_SECONDS = 60.0  # over which the speed is measured
_LEAST_STEPS, _LEAST_SECONDS = 3, 5.0  # before the time of the whole training is estimated


class ShowProgress(keras.callbacks.Callback):
    """Shows step, logs, images/s, the share of time spent waiting for data, and the time left.

    On a terminal, a bar. In the log, a line at the end of every interval and at least every half
    minute, also while a step takes longer; and, after the first steps, how long the whole
    training will take. Must be the last callback: earlier ones may add to the logs. Use as a
    context around the calls of `fit`.

    Args:
        title: What is trained, for the bar and the log.
        batch_size: N, images per step over all replicas.
        length: Steps of the whole training; `None` if nothing is said about the rest.
        wait: Measures the wait for data; `None` if that cannot be measured.
        advise: Called with the estimated seconds of the whole training; returns what to say about
            them, or `None`.
    """

    def __init__(
        self,
        title: str,
        batch_size: int,
        length: Length | None,
        wait: InputWait | None = None,
        advise: Callable[[float], str | None] | None = None,
    ):
        super().__init__()
        self._title, self._batch_size, self._length = title, batch_size, length
        self._wait, self._advise = wait, advise
        self._context = contextlib.ExitStack()
        self._over = threading.Event()
        self._text = "preparing the first step"
        self._began = self._spoke = time.perf_counter()
        self._step = 0
        # (time, steps made, seconds waited for data), from the end of the first step on: the
        # first one also traces the step.
        self._marks: collections.deque[tuple[float, int, float]] = collections.deque()
        self._first_mark = (self._began, 0, 0.0)
        self._announced = False

    @property
    def _total_steps(self) -> int | None:
        return self._length.steps if self._length else None

    def __enter__(self) -> "ShowProgress":
        self._update = self._context.enter_context(progress_bar(self._title, self._total_steps))
        self._speaker = threading.Thread(target=self._break_silence, daemon=True)
        self._speaker.start()
        return self

    def __exit__(self, *error) -> None:
        self._over.set()
        self._speaker.join()
        self._context.__exit__(*error)

    def on_train_begin(self, logs=None):
        self._step = self.model.steps_made
        self._update(self._step, self._total_steps, self._text)

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        waited = self._wait.seconds if self._wait else 0.0
        mark = time.perf_counter(), self._step, waited
        if not self._marks:
            self._first_mark = mark
        self._marks.append(mark)
        while mark[0] - self._marks[0][0] > _WINDOW_SECONDS and len(self._marks) > 2:
            self._marks.popleft()
        self._text = self._line(self.model.shown(logs or {}))
        self._update(self._step, self._total_steps, self._text)
        seconds, steps = mark[0] - self._first_mark[0], mark[1] - self._first_mark[1]
        enough = steps >= _LEAST_STEPS and seconds >= _LEAST_SECONDS
        if self._length and enough and not self._announced:
            self._announce(seconds, steps, self._length)

    def on_epoch_end(self, epoch, logs=None):
        self._text = self._line(self.model.shown(logs or {}))
        self._speak(f"{self._place()}  {self._text}")

    def _announce(self, seconds: float, steps: int, length: Length) -> None:
        self._announced = True
        of_work = seconds / length.work(self._step - steps, self._step)
        whole = of_work * length.work(0, length.steps)
        left = of_work * length.work(self._step, length.steps)
        peak = peak_memory()
        end = time.strftime("%a %H:%M", time.localtime(time.time() + left))
        self._speak(
            f"{self._batch_size * steps / seconds:.4g} images/s over {steps} steps: the whole of "
            f"{length.steps} steps takes {duration(whole)}, and ends about {end}."
            + (f" Peak memory so far: {peak / 2**30:.2g} GB." if peak else "")
        )
        advice = self._advise(whole) if self._advise else None
        if advice:
            _LOGGER.warning(advice)

    def _line(self, logs: dict[str, float]) -> str:
        """`loss 4.52  contrastive accuracy 0.113  543 images/s  2 % waiting for data  3 min left`."""
        parts = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in logs.items()]
        (then, first, waited), (now, step, waits) = self._marks[0], self._marks[-1]
        if step > first:
            rate = (step - first) * self._batch_size / (now - then)
            parts.append(f"{rate:.3g} images/s" if rate < 100 else f"{rate:,.0f} images/s")
            if self._wait:
                parts.append(f"{(waits - waited) / (now - then):.0%} waiting for data")
            left = 0.0
            if self._length and step < self._length.steps:
                seconds, work = now - self._first_mark[0], self._length.work
                left = (
                    seconds / work(self._first_mark[1], step) * work(step, self._length.steps)
                )
            if left:
                parts.append(f"{duration(left)} left")
        return "  ".join(parts)

    def _place(self) -> str:
        of_all = f"/{self._total_steps}" if self._total_steps else f" ({self._title.lower()})"
        return f"step {self._step}{of_all}"

    def _speak(self, text: str) -> None:
        self._spoke = time.perf_counter()
        _LOGGER.info(text)

    def _break_silence(self) -> None:
        while True:
            silent = time.perf_counter() - self._spoke
            if self._over.wait(max(SILENCE_SECONDS - silent, 0.01)):
                return
            now = time.perf_counter()
            if now - self._spoke < SILENCE_SECONDS:
                continue
            since = now - (self._marks[-1][0] if self._marks else self._began)
            current = f"  (step {self._step + 1} has taken {duration(since)} so far)"
            slow = current if since > SILENCE_SECONDS / 2 else ""
            self._speak(f"{self._place()}  {self._text}{slow}")
