"""Trains a classifier on one view of each image, for fine-tuning and distillation."""

import logging
import math
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ..data.datasets import evaluation_dataset
from ..data.sources import ImageSource
from ..errors import InputError, RunFailure
from ..evaluation.metrics import classification_metrics
from ..keras_versions import apply_gradients, build_optimizer, layers_of, scaled
from ..training.lars import LARS
from ..training.optimizers import make_optimizer
from ..training.schedules import WarmupCosine
from ..views.augmenter import SimCLRAugmenter
from ..views.cutting import single_view_batches
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
    model: keras.Model,
    source: ImageSource,
    loss_of: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
    plan: TrainingPlan,
    settings: TrainingSettings,
    image_size: int,
    validation: tuple[tf.data.Dataset, int] | None = None,
) -> TrainedClassifier:
    """Trains a classifier in place: crop and flip only, batch norm in training mode.

    Args:
        model: Images in [0, 1] to logits `(N, C)`. Its last layer is the classifier, whose
            steps LARS does not scale, as in the original release.
        source: The images to train on.
        loss_of: (views, logits, labels) -> loss of the batch, a scalar.
        plan: Steps, batch size, optimizer, learning rate.
        settings: Weight decay, crops and seed.
        image_size: Height and width of the views.
        validation: Labelled batches to choose the best weights on, and the number of
            evaluations without improvement after which to stop.

    Returns:
        A `TrainedClassifier`.

    Raises:
        RunFailure: If the loss is not finite.
    """
    trainer = _Trainer(model, loss_of, plan, settings, image_size)
    batches = iter(trainer.batches(source))
    interval, patience = max(1, plan.steps // _ROWS), 0
    history: list[dict] = []
    best: tuple[float, int, list] | None = None
    step = 0
    while step < plan.steps:
        count = min(interval, plan.steps - step)
        measured = [
            trainer.step(*next(batches), tf.constant(s)) for s in range(step, step + count)
        ]
        step += count
        losses, hits, known = np.mean(np.array(measured), axis=0)
        if not math.isfinite(losses):
            raise RunFailure(
                f"The loss is {losses} before step {step}. Lower `learning_rate`. Received: "
                f"{plan.optimizer} with a learning rate of {plan.learning_rate:g}"
            )
        row = {
            "step": step,
            "learning_rate": float(trainer.schedule(step - 1)),
            "loss": float(losses),
            "accuracy": float(hits / known) if known else None,
        }
        history.append(row)
        if validation is not None:
            reached = row["validation_accuracy"] = accuracy(trainer.logits, validation[0])
            patience += 1
            # Ties go to the later step, which has the lower learning rate.
            if best is None or reached >= best[0]:
                best, patience = (reached, step, model.get_weights()), 0
        _LOGGER.info("  ".join(_text(name, value) for name, value in row.items()))
        if validation is not None and patience >= validation[1]:
            break
    if best is not None:
        model.set_weights(best[2])
    return TrainedClassifier(model, history, best[1] if best else step, plan)


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


class _Trainer:
    """The traced training step and its batches."""

    def __init__(self, model, loss_of, plan, settings, image_size):
        self._model, self._loss_of, self._plan = model, loss_of, plan
        self._seed = settings.seed
        self.schedule = WarmupCosine(plan.learning_rate, plan.steps)
        least = settings.crop_area_min
        self._augmenter = SimCLRAugmenter(
            image_size,
            color_jitter_strength=0.0,
            grayscale_probability=0.0,
            blur=False,
            flip=settings.flip is not False,
            **({"crop_area": (least, 1.0)} if least else {}),
        )
        self._parts = self._optimizers(settings.weight_decay)
        for optimizer, variables in self._parts:
            build_optimizer(optimizer, variables)
        self.step = tf.function(self._step, autograph=False)
        self.logits = traced(model, image_size)

    def batches(self, source: ImageSource) -> tf.data.Dataset:
        """Batches of (images, labels), one for each step."""
        return single_view_batches(
            source, self._augmenter, self._plan.batch_size, self._plan.steps, self._seed
        )

    def _optimizers(self, weight_decay: float) -> list[tuple]:
        name, variables = self._plan.optimizer, self._model.trainable_variables
        is_float16 = any(layer.compute_dtype == "float16" for layer in layers_of(self._model))
        if name == "lars":
            if is_float16:
                raise InputError(
                    "LARS has a separate optimizer for the classifier and cannot scale the loss for "
                    "float16. Use float32, bfloat16, or another optimizer. Received: optimizer=lars"
                )
            last = {id(v) for v in self._model.layers[-1].trainable_variables}
            network = [v for v in variables if id(v) not in last]
            classifier = [v for v in variables if id(v) in last]
            plain = LARS(self.schedule, weight_decay=0.0, min_rank=3)
            return [
                (LARS(self.schedule, weight_decay=weight_decay), network),
                (plain, classifier),
            ]
        optimizer = make_optimizer(name, self.schedule, weight_decay, variables)
        if is_float16:
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        return [(optimizer, variables)]

    def _step(self, images, labels, step):
        view = self._augmenter.one_view(images, seed=(self._seed, step))
        variables = [v for _, part in self._parts for v in part]
        with tf.GradientTape() as tape:
            logits = tf.cast(self._model(view, training=True), tf.float32)
            loss = self._loss_of(view, logits, labels)
            penalties = tf.add_n([0.0, *(tf.cast(x, tf.float32) for x in self._model.losses)])
            to_minimise = scaled(self._parts[0][0], loss + penalties)
        gradients = tape.gradient(to_minimise, variables)
        for optimizer, part in self._parts:
            apply_gradients(optimizer, gradients[: len(part)], part)
            gradients = gradients[len(part) :]
        known = tf.cast(labels >= 0, tf.float32)
        hits = tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32)
        return tf.stack([loss + penalties, tf.reduce_mean(hits * known), tf.reduce_mean(known)])
