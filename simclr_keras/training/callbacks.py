"""Callbacks of a run: history, checkpoints, and a loud stop when training is ruined."""

import csv
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable

import keras
import tensorflow as tf

from ..errors import RunFailure
from .checkpoints import Checkpoints

_LOGGER = logging.getLogger("simclr_keras")


class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Ends the run at the first loss that is not a number, naming the step.

    Raises:
        RunFailure: At that step; the last checkpoint is from before it.
    """

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise RunFailure(
                f"The loss is {loss} at step {self.model.steps_made}. Lower --learning-rate, or "
                "raise --temperature; with --mixed-precision float16 try bfloat16."
            )


class CollapseWarning(keras.callbacks.Callback):
    """Says so when the loss stays where equal projections put it, at ln(2N - 1).

    Args:
        batch_size: N, images per step over all replicas.
        patience_steps: Steps before the first warning.
    """

    def __init__(self, batch_size: int, patience_steps: int = 100):
        super().__init__()
        self._chance = math.log(2 * batch_size - 1)
        self._patience_steps = patience_steps

    def on_epoch_end(self, epoch, logs=None):
        loss, step = (logs or {}).get("loss", 0.0), self.model.steps_made
        if step >= self._patience_steps and abs(loss - self._chance) < 0.01 * self._chance:
            _LOGGER.warning(
                "Step %d: the loss %.3f is that of a collapsed encoder, ln(2N - 1) = %.3f. "
                "Try a lower --learning-rate, or other augmentations.",
                step,
                loss,
                self._chance,
            )


class RunHistory(keras.callbacks.Callback):
    """One row for each interval: in `history.csv`, in TensorBoard and in the log.

    A row is written before the checkpoint of its step. When a run continues, rows after its
    checkpoint belong to steps that are made again, and are dropped.

    Args:
        path: The CSV file.
        tensorboard: Folder of the event file.
        batch_size: Images per step over all replicas.
        steps_per_epoch: Steps in one pass over the data.
        total_steps: Steps of the whole run.
        learning_rate: Learning rate as a function of the step.
    """

    def __init__(
        self,
        path: str | pathlib.Path,
        tensorboard: str | pathlib.Path,
        batch_size: int,
        steps_per_epoch: int,
        total_steps: int,
        learning_rate: Callable,
    ):
        super().__init__()
        self._path = pathlib.Path(path)
        self._writer = tf.summary.create_file_writer(str(tensorboard))
        self._batch_size = batch_size
        self._steps_per_epoch = steps_per_epoch
        self._total_steps = total_steps
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
        _LOGGER.info(
            "step %d/%d  loss %.4f  contrastive accuracy %.3f  %.0f images/s",
            step,
            self._total_steps,
            row["loss"],
            row["contrastive_accuracy"],
            row["images_per_second"],
        )


class SaveCheckpoints(keras.callbacks.Callback):
    """Writes a checkpoint at the end of each interval; the last of the callbacks.

    Args:
        checkpoints: Where to.
    """

    def __init__(self, checkpoints: Checkpoints):
        super().__init__()
        self._checkpoints = checkpoints

    def on_epoch_end(self, epoch, logs=None):
        self._checkpoints.save()


def read_history(path: str | pathlib.Path) -> list[dict[str, str]]:
    """The rows of a `history.csv`, or none when there is no such file yet."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write_rows(path: pathlib.Path, rows: list[dict], append: bool = False) -> None:
    target = path if append else path.with_suffix(".tmp")
    with target.open("a" if append else "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        if not append:
            writer.writeheader()
        writer.writerows(rows)
    if not append:
        os.replace(target, path)
