"""`Budget`: how many steps a run can make in the time that there is."""

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from ..errors import InputError
from .signals import StopSignals
from .step_model import StepModel

_LEAST_STEPS = 3
_MONITORING = 0.02  # of the time of a step; see `runs/monitored_images.py`
_SHARE, _LEAST_SECONDS, _MOST_SECONDS = 0.05, 5.0, 60.0  # of the budget, for the timing


class Budget:
    """The time that a run may take, from now on.

    Args:
        minutes: The budget.
    """

    def __init__(self, minutes: float):
        self._minutes = minutes
        self._end = time.perf_counter() + 60 * minutes
        self._parts: list[float] = []  # seconds of work that the end of the run repeats

    @contextlib.contextmanager
    def repeated_at_the_end(self) -> Iterator[None]:
        """Times something that takes as long again at the end of the run: building networks."""
        began = time.perf_counter()
        yield
        self._parts.append(time.perf_counter() - began)

    def steps(
        self,
        model: StepModel,
        train: Callable[[list], object],
        interval_of: Callable[[int], int],
        signals: StopSignals | None = None,
        largest_of_workers: Callable[[list[int]], list[int]] = list,
    ) -> int:
        """The number of steps that end on time; the model is left as it was.

        Makes a few steps, which are then undone.

        Args:
            model: The compiled model.
            train: Trains it with a list of callbacks, until one sets `stop_training`.
            interval_of: Total steps -> steps between checkpoints.
            signals: See `SaveCheckpoints`.
            largest_of_workers: See `SaveCheckpoints`.

        Raises:
            InputError: If the budget is used up before the first step.
            Interrupted: If a signal comes; there is nothing to save yet.
        """
        seconds = min(max(_SHARE * 60 * self._minutes, _LEAST_SECONDS), _MOST_SECONDS)
        timing = _TimeSteps(seconds, signals or StopSignals(), largest_of_workers)
        state = tf.train.Checkpoint(**model.checkpointed())
        with tempfile.TemporaryDirectory(prefix="simclr_keras_") as folder:
            began = time.perf_counter()
            before = state.write(str(pathlib.Path(folder) / "before"))
            saving = time.perf_counter() - began
            train([timing])
            state.read(before).assert_existing_objects_matched()
        left = self._end - time.perf_counter() - sum(self._parts) - saving
        of_step = (1 + _MONITORING) * timing.seconds_per_step
        steps = int(left / of_step)
        # Saving takes time too.
        steps = int(left / (of_step + saving / interval_of(max(steps, 1))))
        steps = -largest_of_workers([-steps])[0]
        if steps < 1:
            raise InputError(
                f"The budget was used up before the first step: a step takes "
                f"{timing.seconds_per_step:.1f} s here. Raise `minutes`, or choose a smaller "
                f"network or batch. Received: minutes={self._minutes:g}"
            )
        return steps


class _TimeSteps(keras.callbacks.Callback):
    """Times steps, but the first, which is traced, and then stops training."""

    def __init__(self, seconds: float, signals: StopSignals, largest_of_workers: Callable):
        super().__init__()
        self._seconds, self._signals = seconds, signals
        self._largest_of_workers = largest_of_workers
        self._ends: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        self._ends.append(time.perf_counter())
        enough = (
            len(self._ends) > _LEAST_STEPS and self._ends[-1] - self._ends[0] > self._seconds
        )
        received = self._signals.received or 0
        enough, number = self._largest_of_workers([int(enough), received])
        if number:
            self._signals.obey(
                number, "Stopped before the first step. Run the same command again."
            )
        if enough:
            self.model.stop_training = True

    @property
    def seconds_per_step(self) -> float:
        return (self._ends[-1] - self._ends[0]) / (len(self._ends) - 1)
