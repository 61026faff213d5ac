"""Callbacks of a run: history, checkpoints, a collapse warning, a stop on non-finite loss."""

import contextlib
import csv
import logging
import math
import pathlib
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from ..errors import Interrupted, RunFailure
from ..files import whole_file
from .checkpoints import Checkpoints
from .signals import StopSignals

_LOGGER = logging.getLogger("simclr_keras")
_MINUTES_BETWEEN_CHECKPOINTS = 5


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Stops the run at the first NaN or infinite loss and names the step.

    Args:
        advice: What to do then.
        name: What to call the loss.

    Raises:
        RunFailure: At that step; the last checkpoint is from before it.
    """

    def __init__(self, advice: str, name: str = "The loss"):
        super().__init__()
        self._advice, self._name = advice, name

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            step = self.model.steps_made
            raise RunFailure(f"{self._name} is {loss} at step {step}. {self._advice}")


class CollapseWarning(keras.callbacks.Callback):
    """Warns when a run has stalled without learning to tell images apart.

    The loss alone does not show this: it is near ln(2N - 1) for the first hundred steps of many
    runs that later learn, and always at a high temperature. A run is reported when, for
    `patience_steps` steps after the warm-up, a view's partner was its nearest candidate at most
    twice as often as by guessing (1 in 2N - 1; at most 10 points more often in small batches), and
    the loss fell by less than a thousandth.

    Args:
        batch_size: N, images per step over all replicas.
        warmup_steps: Steps of the warm-up, in which little changes. Defaults to 0.
        patience_steps: Steps before the first warning and between warnings. Defaults to 200.
    """

    def __init__(self, batch_size: int, warmup_steps: int = 0, patience_steps: int = 200):
        super().__init__()
        self._chance = 1 / (2 * batch_size - 1)
        self._warmup_steps = warmup_steps
        self._patience_steps = patience_steps
        self._flat_since = None  # (step, loss)

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.steps_made
        loss, accuracy = logs["loss"], logs["contrastive_accuracy"]
        # With few images, chance is far above 0.
        guesses = accuracy <= min(2 * self._chance, self._chance + 0.1)
        if step < self._warmup_steps or not guesses:
            self._flat_since = None
        elif self._flat_since is None or loss < (1 - 1e-3) * self._flat_since[1]:
            self._flat_since = step, loss
        elif step - self._flat_since[0] >= self._patience_steps:
            _LOGGER.warning(
                "Step %d: nothing learned in %d steps. The loss stays at %.3f, and a view's "
                "partner is the nearest of the other views in the batch in %.2g of all cases, close "
                "to guessing (%.2g): the features may have collapsed. Try a lower `learning_rate` "
                "(a higher one if the loss has never moved), or weaker augmentations.",
                step,
                step - self._flat_since[0],
                loss,
                accuracy,
                self._chance,
            )
            self._flat_since = step, loss


class RunHistory(keras.callbacks.Callback):
    """Writes one row per interval to `history.csv` and to TensorBoard.

    A row is written before the checkpoint of its step. When a run resumes, rows after its
    checkpoint are dropped, because their steps are repeated.

    Args:
        path: The CSV file.
        tensorboard: Folder of the event file.
        batch_size: Images per step over all replicas.
        steps_per_epoch: Steps in one pass over the data.
        learning_rate: Learning rate as a function of the step.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        tensorboard: str | pathlib.Path,
        batch_size: int,
        steps_per_epoch: int,
        learning_rate: Callable,
    ):
        super().__init__()
        self._path = pathlib.Path(path)
        self._writer = tf.summary.create_file_writer(str(tensorboard))
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._learning_rate = learning_rate

    def on_train_begin(self, logs=None):
        step = self.model.steps_made
        rows = [row for row in read_history(self._path) if int(row["step"]) <= step]
        if rows:
            _write_rows(self._path, rows)
        else:
            self._path.unlink(missing_ok=True)

    def on_epoch_begin(self, epoch, logs=None):
        self._began, self._first = time.perf_counter(), self.model.steps_made

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.steps_made
        seconds = time.perf_counter() - self._began
        row = {
            "step": step,
            "epoch": round(step / self._steps_per_epoch, 4),
            "learning_rate": float(self._learning_rate(step - 1)),
            **{name: float(value) for name, value in (logs or {}).items()},
            "images_per_second": round((step - self._first) * self._batch_size / seconds, 1),
        }
        _write_rows(self._path, [row], append=self._path.exists())
        with self._writer.as_default(step=step):
            for name, value in row.items():
                if name != "step":
                    tf.summary.scalar(name, value)
        self._writer.flush()


class SaveCheckpoints(keras.callbacks.Callback):
    """Writes checkpoints, and ends the run when a signal asks for it; must come after the history.

    A checkpoint is written at the end of each interval, every five minutes, and when the run is
    asked to stop: at any step, because it holds the running means of the interval too.

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
        self._checkpoints.save()
        self._saved = time.monotonic()

    def _stop(self, number: int) -> None:
        self._signals.received = None  # obeyed
        raise Interrupted(
            f"Stopped after step {self.model.steps_made}, with a checkpoint. Run the same command "
            "again to continue.",
            number,
        )


def read_history(path: str | pathlib.Path) -> list[dict[str, str]]:
    """The rows of a `history.csv`; empty if the file does not exist yet."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write_rows(path: pathlib.Path, rows: list[dict], append: bool = False) -> None:
    with contextlib.nullcontext(path) if append else whole_file(path) as target:
        with target.open("a" if append else "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            if not append:
                writer.writeheader()
            writer.writerows(rows)
