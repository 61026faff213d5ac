"""Callbacks of a run: history, checkpoints, a stop on non-finite loss."""

import logging
import math
import time
from collections.abc import Callable

import keras

from ..errors import RunFailure
from ..keras_versions import loss_scale
from ..local_copies import send
from .checkpoints import Checkpoints
from .run_rows import RunRows
from .signals import StopSignals

_LOGGER = logging.getLogger("simclr_keras")
_MINUTES_BETWEEN_CHECKPOINTS = 5


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Stops the run at the first NaN or infinite loss and says what was going on.

    That is the precision, the learning rate, how large the gradients were, and the last checkpoint.
    Under float16, it also says at the end of an interval how many steps were skipped.

    Args:
        advice: What to do then.
        name: What to call the loss.
        learning_rate: Learning rate as a function of the step.
        checkpoints: Of the run, if it has any.

    Raises:
        RunFailure: At that step; the last checkpoint is from before it.
    """

    def __init__(
        self,
        advice: str,
        name: str = "The loss",
        learning_rate: Callable | None = None,
        checkpoints: Checkpoints | None = None,
    ):
        super().__init__()
        self._advice, self._name = advice, name
        self._learning_rate, self._checkpoints = learning_rate, checkpoints
        self._scale: float | None = None  # of the loss, under float16
        self._skipped = self._said = 0

    def on_train_begin(self, logs=None):
        self._scale = loss_scale(self.model.optimizer)

    def on_train_batch_end(self, batch, logs=None):
        if self._scale is not None:
            before, self._scale = self._scale, loss_scale(self.model.optimizer)
            self._skipped += self._scale < before  # lowered by each step that is skipped
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            step = self.model.steps_made
            said = [
                f"{self._name} is {loss} at step {step}{self._circumstances(step)}.",
                self.model.gradient_norms.described(step),
                self._advice,
                self._checkpoints.last_described() if self._checkpoints else "",
            ]
            raise RunFailure(" ".join(each for each in said if each))

    def on_epoch_end(self, epoch, logs=None):
        if self._skipped > self._said:
            self._said = self._skipped
            _LOGGER.info("Step %d: %s.", self.model.steps_made, self._skips())

    def _circumstances(self, step: int) -> str:
        said = f", in {self.model.precision}"
        if self._learning_rate is not None:
            said += f" at a learning rate of {float(self._learning_rate(step - 1)):.4g}"
        return said if self._scale is None else f"{said}; {self._skips()}"

    def _skips(self) -> str:
        return (
            f"float16 has skipped {self._skipped} steps since this command began, whose gradients "
            f"were not finite; the loss is scaled by {self._scale:g}"
        )


class RunHistory(keras.callbacks.Callback):
    """Writes one row per interval to `history.csv` and to TensorBoard.

    Args:
        rows: The rows of the run.
        batch_size: Images per step over all replicas.
        steps_per_epoch: Steps in one pass over the data.
        learning_rate: Learning rate as a function of the step.
    """

    def __init__(
        self, rows: RunRows, batch_size: int, steps_per_epoch: int, learning_rate: Callable
    ):
        super().__init__()
        self._rows = rows
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._learning_rate = learning_rate

    def on_train_begin(self, logs=None):
        self._rows.keep_until(self.model.steps_made)

    def on_epoch_begin(self, epoch, logs=None):
        self._began, self._first = time.perf_counter(), self.model.steps_made

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.steps_made
        seconds = time.perf_counter() - self._began
        scalars = {
            "epoch": round(step / self._steps_per_epoch, 4),
            "learning_rate": float(self._learning_rate(step - 1)),
            **{name: float(value) for name, value in (logs or {}).items()},
            "images_per_second": round((step - self._first) * self._batch_size / seconds, 1),
        }
        self._rows.append(step, scalars)


class SaveCheckpoints(keras.callbacks.Callback):
    """Writes checkpoints, and ends the run when a signal asks for it; must come after the history.

    A checkpoint is written at the end of each interval, every five minutes, and when the run is
    asked to stop or, by SIGUSR1, to save: at any step, because it holds the running means of the
    interval too.

    Args:
        checkpoints: The checkpoints of the run.
        signals: What asks the run to stop. Defaults to nothing.
        largest_of_workers: Takes a list of numbers; returns the largest of each over all workers,
            which must save and stop at the same step. Called in the same steps on all of them.
        agree_every: Steps between its calls.

    Raises:
        Interrupted: After the checkpoint that a signal asked for.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        signals: StopSignals | None = None,
        largest_of_workers: Callable[[list[int]], list[int]] = list,
        agree_every: int = 1,
    ):
        super().__init__()
        self._checkpoints, self._signals = checkpoints, signals or StopSignals()
        self._largest_of_workers, self._agree_every = largest_of_workers, agree_every
        self._saved = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        # At the end of an interval, its row comes first: `on_epoch_end`.
        if (batch + 1) % self._agree_every or batch + 1 == self.params["steps"]:
            return
        is_due = time.monotonic() - self._saved >= _MINUTES_BETWEEN_CHECKPOINTS * 60
        is_due |= self._signals.asked_to_save
        is_due, number = self._largest_of_workers([int(is_due), self._signals.received or 0])
        if is_due or number:
            self._save()
        if number:
            self._stop(number)

    def on_epoch_end(self, epoch, logs=None):
        self._save()
        (number,) = self._largest_of_workers([self._signals.received or 0])
        if number:
            self._stop(number)

    def _save(self) -> None:
        was_asked, self._signals.asked_to_save = self._signals.asked_to_save, False
        self._checkpoints.save()
        send()  # to a store, if the run is in one
        self._saved = time.monotonic()
        if was_asked:
            _LOGGER.info("A checkpoint was written after step %d.", self.model.steps_made)

    def _stop(self, number: int) -> None:
        self._signals.obey(
            number,
            f"Stopped after step {self.model.steps_made}, with a checkpoint. Run the same command "
            "again to continue.",
        )
