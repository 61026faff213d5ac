"""What a classifier's training leaves behind: its history, its best weights, what it trains."""

import hashlib
import io
import json
import pathlib
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..files import write_json


class TrainingRecord(tf.train.experimental.PythonState):
    """The history of a training and its best weights, saved with its checkpoints.

    Attributes:
        rows: A dict for each interval; see `TrainedClassifier`.
        best: (validation accuracy, step, weights), or `None` without validation.
        since_best: Evaluations since the best one.
        is_over: Whether training stopped early.
    """

    def __init__(self):
        self.rows: list[dict] = []
        self.best: tuple[float, int, list[np.ndarray]] | None = None
        self.since_best = 0
        self.is_over = False

    def serialize(self) -> bytes:
        accuracy, step, weights = self.best or (None, None, [])
        values = {
            "rows": self.rows,
            "best": [accuracy, step],
            "since_best": self.since_best,
            "is_over": self.is_over,
        }
        file = io.BytesIO()
        np.savez(file, json.dumps(values), *weights)
        return file.getvalue()

    def deserialize(self, string_value: bytes) -> None:
        values, *weights = np.load(io.BytesIO(string_value)).values()
        found = json.loads(str(values))
        self.rows, self.since_best, self.is_over = (
            found[name] for name in ("rows", "since_best", "is_over")
        )
        self.best = (*found["best"], weights) if weights else None


class RecordProgress(keras.callbacks.Callback):
    """At the end of each interval, records a row; stops when validation has stalled.

    It adds `validation_accuracy` to Keras' logs, so that later callbacks can monitor it.

    Args:
        record: Where to.
        schedule: Learning rate as a function of the step.
        logits_of: Images in [0, 1] to logits `(N, C)`.
        validation: Labelled batches to choose the best weights on, and the number of evaluations
            without improvement after which to stop.
    """

    def __init__(
        self,
        record: TrainingRecord,
        schedule: Callable,
        logits_of: Callable,
        validation: tuple[tf.data.Dataset, int] | None = None,
    ):
        super().__init__()
        self._record, self._schedule = record, schedule
        self._logits_of, self._validation = logits_of, validation

    def on_epoch_end(self, epoch, logs=None):
        record, step = self._record, self.model.steps_made
        row = {
            "step": step,
            "learning_rate": float(self._schedule(step - 1)),
            "loss": float(logs["loss"]),
            "accuracy": float(logs["accuracy"]) if self.model.saw_labels else None,
        }
        record.rows.append(row)
        if self._validation is not None:
            batches, patience = self._validation
            reached = row["validation_accuracy"] = accuracy(self._logits_of, batches)
            logs["validation_accuracy"] = reached
            record.since_best += 1
            # Ties go to the later step, which has the lower learning rate.
            if record.best is None or reached >= record.best[0]:
                record.best = reached, step, self.model.classifier.get_weights()
                record.since_best = 0
            if record.since_best >= patience:
                record.is_over = self.model.stop_training = True


def accuracy(logits_of: Callable, batches: tf.data.Dataset) -> float:
    """Share of the images whose largest logit is that of their label; each counts once.

    Args:
        logits_of: Images in [0, 1] to logits `(N, C)`.
        batches: (images, labels).
    """
    hits = [np.argmax(logits_of(images), axis=1) == labels for images, labels in batches]
    return float(np.concatenate(hits).mean())


def check_same_training(folder: pathlib.Path, training: dict) -> None:
    """Raises an `InputError` if a folder holds the checkpoints of another training.

    Otherwise, and if there are none yet, writes `training.json` into it.

    Args:
        folder: Folder of the checkpoints.
        training: JSON values that together determine the result of the training.

    Raises:
        InputError: If a value is not the one that began the training.
    """
    file = folder / "training.json"
    if not file.exists():
        write_json(file, training)
        return
    begun = json.loads(file.read_text())
    different = [
        f"{name}={begun.get(name)} (now {value})"
        for name, value in training.items()
        if begun.get(name) != value
    ]
    if different:
        raise InputError(
            f"{folder} holds checkpoints of another training: {', '.join(different)}. Repeat what "
            "began it to continue it, or remove the folder."
        )


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Twelve characters that differ for arrays that differ."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).data)
    return found.hexdigest()[:12]
