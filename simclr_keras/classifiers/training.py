"""Trains a classifier on one view of each image, for fine-tuning and distillation."""

import functools
import io
import json
import logging
import os
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ..data.datasets import evaluation_dataset
from ..data.sources import ImageSource
from ..distribution.strategy import check_divides
from ..errors import InputError
from ..evaluation.metrics import classification_metrics
from ..training.callbacks import SaveCheckpoints, StopOnNonFiniteLoss
from ..training.checkpoints import Checkpoints
from ..training.classifier import ClassifierTraining
from ..training.loop import fit_in_intervals
from ..training.schedules import WarmupCosine
from ..views.cutting import single_view_augmenter, single_view_batches
from .settings import TrainingPlan, TrainingSettings

_LOGGER = logging.getLogger("simclr_keras")
_ROWS = 20  # in a history, approximately


class TrainedClassifier(typing.NamedTuple):
    """What `fine_tune` and `distill` return.

    Attributes:
        classifier: `keras.Model` from images in [0, 1] to float32 logits `(N, C)`.
        history: A dict for each of about twenty intervals: `step`, `learning_rate`, `loss`,
            `accuracy` (on the labelled images of the interval, augmented) and, with a
            validation part, `validation_accuracy`.
        best_step: The step whose weights `classifier` has.
        plan: The steps, batch size, optimizer and learning rate that were used.
    """

    classifier: keras.Model
    history: list[dict]
    best_step: int
    plan: TrainingPlan

    def summary(self) -> dict:
        """The plan, the best step, and its validation accuracy."""
        best = next(row for row in self.history if row["step"] == self.best_step)
        accuracy = best.get("validation_accuracy")
        return {
            **self.plan._asdict(),
            "best_step": self.best_step,
            "validation_accuracy": accuracy,
        }


def side_of_views(image_size: int | None, model: keras.Model, source: ImageSource) -> int:
    """The requested size of the views, or that of the model's input, or the images' height.

    Raises:
        InputError: If none of them is known.
    """
    side = image_size or model.input_shape[1] or (source.image_shape or [None])[0]
    if side is None:
        raise InputError(
            "The network takes images of any size, and the images differ in size. Give the size to "
            "train at. Received: image_size=None"
        )
    return side


def copy_of(network: keras.Model) -> keras.Model:
    """Copies a functional or sequential model and its weights into new variables."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def train_classifier(
    classifier: keras.Model,
    source: ImageSource,
    losses_of: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    plan: TrainingPlan,
    settings: TrainingSettings,
    image_size: int,
    validation: tuple[tf.data.Dataset, int] | None = None,
    checkpoints_in: str | os.PathLike | None = None,
) -> TrainedClassifier:
    """Trains a classifier in place: crop and flip only, batch norm in training mode.

    It trains under the current `tf.distribute` strategy; the classifier must be made in its scope.

    Args:
        classifier: Model from images in [0, 1] to logits `(N, C)`.
        source: Images to train on.
        losses_of: (views, logits, labels) -> losses `(n,)`, one for each image.
        plan: Steps, batch size, optimizer and learning rate.
        settings: Weight decay, crops and seed.
        image_size: Height and width of the views.
        validation: Labelled batches to choose the best weights on, and the number of evaluations
            without improvement after which to stop.
        checkpoints_in: Folder of checkpoints; training continues from the last one there.

    Returns:
        A `TrainedClassifier`.

    Raises:
        InputError: If the batch does not divide over the replicas.
        RunFailure: If the loss is not finite, or a checkpoint does not fit.
    """
    strategy = tf.distribute.get_strategy()
    check_divides(plan.batch_size, strategy)
    area = (settings.crop_area_min or 0.08, 1.0)
    augmenter = single_view_augmenter(image_size, settings.flip is not False, area)
    schedule = WarmupCosine(plan.learning_rate, plan.steps)
    model = ClassifierTraining(classifier, augmenter, losses_of, seed=settings.seed)
    model.compile_with(plan.optimizer, schedule, settings.weight_decay)
    record = TrainingRecord()
    progress = RecordProgress(record, schedule, traced(classifier, image_size), validation)
    callbacks = [
        StopOnNonFiniteLoss(f"Lower `learning_rate`. Received: {_plan_text(plan)}"),
        progress,
    ]
    if checkpoints_in is not None:
        checkpoints = Checkpoints(model, checkpoints_in, record=record)
        checkpoints.restore()
        callbacks.append(SaveCheckpoints(checkpoints))
    if not record.is_over:
        fit_in_intervals(
            model,
            source,
            functools.partial(
                single_view_batches, source, augmenter, plan.batch_size, settings.seed
            ),
            plan.batch_size,
            plan.steps,
            max(1, plan.steps // _ROWS),
            callbacks,
        )
    best_step = model.steps_made
    if record.best is not None:
        _, best_step, weights = record.best
        classifier.set_weights(weights)
    return TrainedClassifier(classifier, record.rows, best_step, plan)


def _plan_text(plan: TrainingPlan) -> str:
    return f"{plan.optimizer} with a learning rate of {plan.learning_rate:g}"


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
    """At the end of each interval, records and logs a row; stops when validation has stalled.

    Args:
        record: Where to.
        schedule: Learning rate as a function of the step.
        logits_of: See `traced`.
        validation: See `train_classifier`.
    """

    def __init__(self, record: TrainingRecord, schedule, logits_of, validation=None):
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
            record.since_best += 1
            # Ties go to the later step, which has the lower learning rate.
            if record.best is None or reached >= record.best[0]:
                record.best = reached, step, self.model.classifier.get_weights()
                record.since_best = 0
            if record.since_best >= patience:
                record.is_over = self.model.stop_training = True
        _LOGGER.info("  ".join(_text(name, value) for name, value in row.items()))


def accuracy(logits_of: Callable, batches: tf.data.Dataset) -> float:
    """Share of the images whose largest logit is that of their label; each counts once.

    Args:
        logits_of: Images in [0, 1] to logits `(N, C)`; see `traced`.
        batches: (images, labels).
    """
    hits = [np.argmax(logits_of(images), axis=1) == labels for images, labels in batches]
    return float(np.concatenate(hits).mean())


def measure(classifier: keras.Model, test: ImageSource | None, image_size: int) -> dict:
    """Measures the accuracy on the test part, each image once.

    Returns:
        `test_images`, `test_accuracy` and, as `test`, the `classification_metrics`; the last two
        are `None` without a test part.
    """
    if test is None:
        return {"test_images": 0, "test_accuracy": None, "test": None}
    logits_of = traced(classifier, image_size)
    batches = evaluation_dataset(test, image_size, 256)
    logits, labels = zip(*((logits_of(images), labels) for images, labels in batches))
    metrics = classification_metrics(
        np.concatenate(logits),
        np.concatenate(labels),
        class_names=(*test.class_names, "unknown to the classifier"),
    )
    return {"test_images": len(test), "test_accuracy": metrics["top_1"], "test": metrics}


def traced(classifier: keras.Model, image_size: int) -> Callable:
    """Traces a classifier in inference mode, once for any number of images."""
    images = tf.TensorSpec([None, image_size, image_size, classifier.input_shape[-1]])
    return tf.function(
        lambda images: classifier(images, training=False), input_signature=[images]
    )


def _text(name: str, value) -> str:
    return f"{name.replace('_', ' ')} {value:.4g}" if value is not None else f"{name} -"
