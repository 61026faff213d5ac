"""Trains a classifier on one view of each image, for fine-tuning and distillation."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from ..data.bad_images import BadImages, TrainingImages
from ..data.datasets import evaluation_dataset, numbered
from ..data.sources import ImageSource
from ..distribution.strategy import check_divides
from ..errors import InputError
from ..evaluation.metrics import classification_metrics
from ..networks.precision import copy_of
from ..training.callbacks import SaveCheckpoints, StopOnNonFiniteLoss
from ..training.checkpoints import Checkpoints
from ..training.classifier import ClassifierTraining
from ..training.length import Length
from ..training.loop import fit_in_intervals
from ..training.schedules import WarmupCosine
from ..training.signals import StopSignals
from ..views.cutting import single_view_augmenter, single_view_batches
from .record import RecordProgress, TrainingRecord, check_same_training, digest
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
        plan: The steps, batch size, optimizer and learning rate that were used; `None` on frozen
            features.
    """

    classifier: keras.Model
    history: list[dict]
    best_step: int
    plan: TrainingPlan | None

    def summary(self) -> dict:
        """The plan, the best step, and its validation accuracy."""
        best = next(row for row in self.history if row["step"] == self.best_step)
        accuracy = best.get("validation_accuracy")
        plan = self.plan._asdict() if self.plan else dict.fromkeys(TrainingPlan._fields)
        return {
            **plan,
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


def train_classifier(
    classifier: keras.Model,
    source: ImageSource,
    losses_of: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    plan: TrainingPlan,
    settings: TrainingSettings,
    image_size: int,
    validation: tuple[tf.data.Dataset, int] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints_in: str | os.PathLike | None = None,
    title: str = "Training",
    **identity: float | str,
) -> TrainedClassifier:
    """Trains a classifier in place: crop and flip only, batch norm in training mode.

    A copy is trained, under the current `tf.distribute` strategy and in the precision that
    `settings` names.

    Args:
        classifier: Model from images in [0, 1] to logits `(N, C)`; receives the trained weights.
        source: Images to train on.
        losses_of: (views, logits, labels) -> losses `(n,)`, one for each image.
        plan: Steps, batch size, optimizer and learning rate.
        settings: Weight decay, crops, precision and seed.
        image_size: Height and width of the views.
        validation: Labelled batches to choose the best weights on, and the number of evaluations
            without improvement after which to stop.
        callbacks: Further Keras callbacks.
        checkpoints_in: Folder of checkpoints; training continues from the last one there, and a
            signal ends it with one.
        title: What is trained, for people.
        **identity: What `losses_of` depends on: checkpoints of another loss are refused.

    Returns:
        A `TrainedClassifier`.

    Raises:
        InputError: If the batch does not divide over the replicas, or the checkpoints are those of
            another training.
        RunFailure: If the loss is not finite, or a checkpoint does not fit.
        Interrupted: With `checkpoints_in`, when a signal came and a checkpoint was written.
    """
    check_divides(plan.batch_size, tf.distribute.get_strategy())
    area = (settings.crop_area_min or 0.08, 1.0)
    augmenter = single_view_augmenter(image_size, settings.flip is not False, area)
    schedule = WarmupCosine(plan.learning_rate, plan.steps)
    trained = copy_of(classifier, settings.mixed_precision)
    model = ClassifierTraining(trained, augmenter, losses_of, seed=settings.seed)
    model.compile_with(plan.optimizer, schedule, settings.weight_decay)
    record = TrainingRecord()
    logits_of = traced(trained, image_size)
    checkpoints, signals = None, StopSignals()
    if checkpoints_in is not None:
        training = {
            **dataclasses.asdict(dataclasses.replace(settings, max_bad_fraction=None)),
            **plan._asdict(),
            "image_size": image_size,
            "images": len(source),
            "labels": digest([source.labels]),
            "initial_weights": digest(classifier.get_weights()),
            **identity,
        }
        check_same_training(pathlib.Path(checkpoints_in), training)
        checkpoints = Checkpoints(model, checkpoints_in, record=record)
        if checkpoints.restore():
            _LOGGER.info("Continuing at step %d.", model.steps_made)
    own_callbacks: list[keras.callbacks.Callback] = [
        StopOnNonFiniteLoss(
            f"Lower `learning_rate`. Received: {_plan_text(plan)}.",
            learning_rate=schedule,
            checkpoints=checkpoints,
        ),
        RecordProgress(record, schedule, logits_of, validation),
        *callbacks,
    ]
    if checkpoints is not None:
        own_callbacks.append(SaveCheckpoints(checkpoints, signals))
    bad_images = BadImages(len(source), settings.most_bad)
    images = TrainingImages(
        source,
        lambda source, *steps, **rows: single_view_batches(
            source, augmenter, plan.batch_size, settings.seed, *steps, **rows
        ),
        plan.batch_size,
        settings.seed,
        bad_images,
    )
    if not record.is_over:
        with signals.noted() if checkpoints else contextlib.nullcontext():
            fit_in_intervals(
                model,
                source,
                images.batches,
                plan.batch_size,
                Length(plan.steps),
                max(1, plan.steps // _ROWS),
                own_callbacks,
                title,
                recover=images.recover,
            )
        bad_images.conclude()
    _, best_step, weights = record.best or (None, model.steps_made, trained.get_weights())
    classifier.set_weights(weights)
    return TrainedClassifier(classifier, record.rows, best_step, plan)


def _plan_text(plan: TrainingPlan) -> str:
    return f"{plan.optimizer} with a learning rate of {plan.learning_rate:g}"


def measure(classifier: keras.Model, test: ImageSource | None, image_size: int) -> dict:
    """Measures the accuracy on the test part, each image once; a bad one is named and left out.

    Returns:
        `test_images`, `test_accuracy` and, as `test`, the `classification_metrics`; the last two
        are `None` without a test part.
    """
    if test is None:
        return {"test_images": 0, "test_accuracy": None, "test": None}
    logits_of = traced(classifier, image_size)
    batches = evaluation_dataset(numbered(test), image_size, 256, skip_unreadable=True)
    found = [(logits_of(images), index) for images, index in batches]
    if not found:
        _LOGGER.warning("Nothing is measured: no test image in %s can be read.", test.name)
        return measure(classifier, None, image_size)
    logits, read = zip(*found)
    # Whatever the number of bad images: the classifier has been trained, and must not be lost.
    test = BadImages(len(test), 1.0).left_out(test, np.concatenate(read))
    metrics = classification_metrics(
        np.concatenate(logits),
        test.labels,
        class_names=(*test.class_names, "unknown to the classifier"),
    )
    return {"test_images": len(test), "test_accuracy": metrics["top_1"], "test": metrics}


def traced(classifier: keras.Model, image_size: int) -> Callable:
    """Traces a classifier in inference mode, once for any number of images."""
    images = tf.TensorSpec([None, image_size, image_size, classifier.input_shape[-1]])
    return tf.function(
        lambda images: classifier(images, training=False), input_signature=[images]
    )
