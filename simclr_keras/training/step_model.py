"""`StepModel`: what `SimCLR` and the training of classifiers share as Keras models."""

import contextlib

import keras
import numpy as np
import tensorflow as tf

from ..keras_versions import VersionedModel, layers_of, tensorflow_variables
from ..objective import replicas
from ..seeds import check_seed
from .gradient_norms import GradientNorms
from .step import Logged


class StepModel(VersionedModel):
    """A model whose training step depends on (seed, step) and logs means over the global batch.

    Args:
        logged: Names of the logged numbers.
        seed: The run's seed.
        **kwargs: Of `keras.Model`.
    """

    def __init__(self, logged: list[str], seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.seed = check_seed(seed)
        # Batches seen; float16 may skip an optimizer step, but never a batch.
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="step",
        )
        # float32 whatever `keras.config.floatx()` is: the counts of images must be exact.
        self._means = [keras.metrics.Mean(name=name, dtype="float32") for name in logged]
        self._continues_means = False
        self.gradient_norms = GradientNorms()
        self.built = True

    def get_compile_config(self) -> dict:
        """What `compile_from_config` needs to compile a loaded model like this one."""
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "jit_compile": bool(self.jit_compile),
        }

    def compile_from_config(self, config: dict) -> None:
        """Compiles a loaded model; Keras then loads the state of its optimizer."""
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(optimizer, jit_compile=config["jit_compile"])

    def save_own_variables(self, store) -> None:
        """Saves the step in `.keras` and `.weights.h5` files: the views depend on it."""
        store["step"] = self.steps_made

    def load_own_variables(self, store) -> None:
        """Loads the step; files of networks alone have none."""
        if "step" in store:
            self.step.assign(int(np.array(store["step"])))

    @property
    def steps_made(self) -> int:
        """Batches seen so far; `int(model.step)` does not work under several replicas."""
        return int(self.step.read_value())

    @property
    def precision(self) -> str:
        """The policy that the layers compute by: `mixed_float16` if any of them does."""
        policies = {layer.dtype_policy.name for layer in layers_of(self)}
        return min(policies - {"float32"}, default="float32")

    @property
    def metrics(self):
        return self._means

    def reset_metrics(self) -> None:
        """Begins new means, unless `continue_means` was called."""
        if self._continues_means:
            self._continues_means = False
        else:
            super().reset_metrics()

    def trace_again(self) -> None:
        """Has the next `fit` trace the step, because something that it was traced with has changed."""
        self.make_train_function(force=True)

    def continue_means(self) -> None:
        """Lets the next `fit` begin with the means as they are: in an interval that was interrupted."""
        self._continues_means = True

    @property
    def means_variables(self) -> list[tf.Variable]:
        """The state of the running means."""
        return tensorflow_variables([v for mean in self._means for v in mean.variables])

    def shown(self, logs: dict) -> dict[str, float]:
        """The logs to show a person, the model's own first."""
        own = [mean.name for mean in self._means if mean.name in logs]
        return {name: float(logs[name]) for name in [*own, *sorted(logs.keys() - set(own))]}

    def checkpointed(self) -> dict:
        """What `tf.train.Checkpoint` must track so that training continues exactly."""
        raise NotImplementedError

    def after_reading(self, data) -> contextlib.AbstractContextManager:
        """A context whose ops wait for the batch.

        What needs no image, such as counting the step, TensorFlow may do while a batch is read.
        If that fails and the step is tried again, it would be counted twice.
        """
        return tf.control_dependencies([x for x in tf.nest.flatten(data) if x is not None])

    def log(self, logs: dict[str, Logged]) -> dict:
        """Adds the numbers of a step to the means, and returns the means."""
        for metric in self._means:
            # Every replica adds the global value, so each adds its share of the weight.
            value, weight = logs[metric.name]
            share = weight / replicas.number_of_replicas()
            metric.update_state(value, sample_weight=share)
        return self.logs_of_replica({metric.name: metric.result() for metric in self._means})
