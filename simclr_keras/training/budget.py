"""`Budget`: how many steps a run can make in the time that there is."""

import contextlib
import logging
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from ..errors import InputError
from .length import Length
from .schedules import WarmupCosineOfRun
from .signals import StopSignals
from .sizes import SizeSchedule
from .step_model import StepModel

_LOGGER = logging.getLogger("simclr_keras")
_LEAST_STEPS = 3
_TOLERANCE = 0.02  # of the length, which speed alone does not change
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

    @property
    def seconds_left(self) -> float:
        """The time left for steps."""
        return self._end - time.perf_counter() - sum(self._parts)

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
        sizes: SizeSchedule | None = None,
    ) -> int:
        """The number of steps that end on time; the model is left as it was.

        Makes a few steps, which are then undone.

        Args:
            model: The compiled model.
            train: Trains it with a list of callbacks, until one sets `stop_training`.
            interval_of: Total steps -> steps between checkpoints.
            signals: See `SaveCheckpoints`.
            largest_of_workers: See `SaveCheckpoints`.
            sizes: The sizes of the views, if they change; those of the first are timed.

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
        left = self.seconds_left - saving
        of_step = (1 + _MONITORING) * timing.seconds_per_step
        if sizes:
            first = (sizes.at(0.0) / sizes.at(1.0)) ** 2
            of_step *= sizes.work(0.0, 1.0) / first
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


class KeepToBudget(keras.callbacks.Callback):
    """Adjusts the length of a run at the end of each interval, so that it ends on time.

    A machine is not equally fast all the time. The learning rate follows the new length. Must come
    after what measures, so that its time counts, and before the checkpoints.

    Args:
        budget: The budget.
        length: The length of the run.
        schedule: The learning-rate schedule.
        keep: Called with a new length, to write it down.
        largest_of_workers: See `SaveCheckpoints`.
    """

    def __init__(
        self,
        budget: Budget,
        length: Length,
        schedule: WarmupCosineOfRun,
        keep: Callable[[int], object],
        largest_of_workers: Callable[[list[int]], list[int]] = list,
    ):
        super().__init__()
        self._budget, self._length, self._schedule = budget, length, schedule
        self._keep, self._largest_of_workers = keep, largest_of_workers
        self._since: tuple[float, int] | None = None  # (seconds left, steps made)

    def on_train_batch_end(self, batch, logs=None):
        if self._since is None:  # the first step is traced
            self._since = self._budget.seconds_left, self.model.steps_made

    def on_epoch_end(self, epoch, logs=None):
        made, left = self.model.steps_made, self._budget.seconds_left
        steps = self._length.steps
        if self._since is None or made >= steps or made == self._since[1]:
            return
        before, first = self._since
        # At the present speed, and with the sizes of views that are still to come.
        of_work = (before - left) / self._length.work(first, made)
        ahead = self._length.work(made, steps) / (steps - made)  # of a step
        self._since = left, made
        (slowest,) = self._largest_of_workers([-made - max(0, int(left / (of_work * ahead)))])
        if abs(-slowest - steps) <= _TOLERANCE * steps:
            return
        self._length.steps = -slowest
        self._schedule.set_length(-slowest)
        self._keep(-slowest)
        self.model.stop_training = True  # `fit` goes on with the new length
        _LOGGER.info("%d steps fit into the budget at the present speed.", -slowest)


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
