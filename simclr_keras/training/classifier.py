"""`ClassifierTraining`: a Keras model that trains a classifier on one view of each image."""

from collections.abc import Callable

import keras
import tensorflow as tf

from ..errors import InputError
from ..keras_versions import (
    apply_gradients,
    build_optimizer,
    layers_of,
    optimizer_state,
    scaled,
    tensorflow_variables,
)
from ..objective import replicas
from ..views.augmenter import SimCLRAugmenter
from .defaults import OptimizerName
from .lars import LARS
from .optimizers import make_optimizer
from .step import Logged
from .step_model import StepModel


class ClassifierTraining(StepModel):
    """Trains a classifier by `fit`: fine-tuning, distillation and the linear probe.

    Under a `tf.distribute` strategy, batch-norm statistics and logged numbers span all replicas.
    Called on images, the model returns the classifier's logits.

    Args:
        classifier: Model from what `inputs_of` returns to logits `(N, C)`.
        augmenter: Makes the view of each image.
        losses_of: (views, logits, labels) -> losses `(n,)`, one for each image.
        inputs_of: Turns views into the classifier's inputs, such as a frozen encoder in inference
            mode. Defaults to the views themselves.
        seed: Determines all views.
    """

    def __init__(
        self,
        classifier: keras.Model,
        augmenter: SimCLRAugmenter,
        losses_of: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor],
        inputs_of: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
        seed: int = 0,
    ):
        super().__init__(["loss", "accuracy"], seed)
        self.classifier = classifier
        self.augmenter = augmenter
        self.losses_of = losses_of
        self.inputs_of = inputs_of
        # (optimizer, its variables): LARS has one of its own for the last layer.
        self.parts: list[tuple] = []

    def compile_with(self, name: OptimizerName, schedule, weight_decay: float = 0.0) -> None:
        """Compiles with one of the optimizers of `make_optimizer`.

        As in the original release, LARS does not scale the steps of the last layer.

        Args:
            name: Name of the optimizer.
            schedule: The learning rate.
            weight_decay: Weight decay.

        Raises:
            InputError: If LARS is to train a float16 network.
        """
        variables = self.classifier.trainable_variables
        last: list = []
        is_float16 = any(x.compute_dtype == "float16" for x in layers_of(self.classifier))
        if name == "lars":
            if is_float16:
                raise InputError(
                    "LARS has a separate optimizer for the last layer and cannot scale the loss for "
                    "float16. Use float32, bfloat16, or another optimizer. Received: optimizer=lars"
                )
            last = list(self.classifier.layers[-1].trainable_variables)
            ids = {id(v) for v in last}
            variables = [v for v in variables if id(v) not in ids]
        optimizer = make_optimizer(name, schedule, weight_decay, variables)
        if is_float16:
            optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
        self.parts = [(optimizer, variables)]
        if last:
            self.parts.append((LARS(schedule, weight_decay=0.0, min_rank=3), last))
        self.compile(optimizer=optimizer)
        for part in self.parts:
            build_optimizer(*part)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.classifier(self.inputs_of(images), training=training)

    def train_step(self, data) -> dict:
        images, labels = data
        count = replicas.check_even(tf.shape(images)[0])  # n
        first_position = tf.cast(replicas.replica_id() * count, tf.int64)
        total = tf.cast(count * replicas.number_of_replicas(), tf.float32)  # N
        view = self.augmenter.one_view(
            images, seed=(self.seed, self.step), first_position=first_position
        )
        inputs = self.inputs_of(view)
        variables = [v for _, part in self.parts for v in part]
        with tf.GradientTape() as tape:
            logits = tf.cast(self.classifier(inputs, training=True), tf.float32)
            losses = self.losses_of(view, logits, labels)
            penalties = [tf.cast(x, tf.float32) for x in self.classifier.losses]
            penalty = tf.add_n([0.0, *penalties])
            # Gradients are summed over replicas, so the penalty counts once in total.
            share = tf.reduce_sum(losses) / total + penalty / replicas.number_of_replicas()
            to_minimise = scaled(self.parts[0][0], share)
        gradients = tape.gradient(to_minimise, variables)
        with self.after_reading(data):
            norms = []
            for optimizer, part in self.parts:
                norms.append(apply_gradients(optimizer, gradients[: len(part)], part))
                gradients = gradients[len(part) :]
            self.gradient_norms.note(self.step, tf.norm(norms))
            self.step.assign_add(1)
            known = tf.cast(labels >= 0, tf.float32)
            hits = tf.cast(tf.argmax(logits, axis=1) == labels, tf.float32) * known
            rows = tf.stack([tf.reduce_sum(x) for x in (losses, hits, known)])
            loss, hits, known = tf.unstack(replicas.global_sum(tf.stop_gradient(rows)))
            return self.log(
                {
                    "loss": Logged(loss / total + penalty, total),
                    "accuracy": Logged(tf.math.divide_no_nan(hits, known), known),
                }
            )

    @property
    def saw_labels(self) -> bool:
        """Whether any image had a label since Keras last reset the metrics."""
        (count,) = tensorflow_variables([self.metrics[1].count])
        return float(count.read_value()) > 0

    def shown(self, logs: dict) -> dict[str, float]:
        logs = super().shown(logs)
        if not self.saw_labels:
            logs.pop("accuracy", None)
        return logs

    def checkpointed(self) -> dict:
        return {
            "step": self.step,
            "classifier": tensorflow_variables(self.classifier.variables),
            "optimizers": [optimizer_state(optimizer) for optimizer, _ in self.parts],
        }
