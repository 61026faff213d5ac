"""Exact resume: everything that the next step depends on, saved with `tf.train.Checkpoint`.

Keras' BackupAndRestore loses the state of wrapped optimizers, and `.keras` files do not store
the position in the learning-rate schedule. Data order and views need no state: they are
functions of the step.
"""

import logging
import math
import os
import pathlib

import tensorflow as tf

from ..errors import RunFailure
from ..keras_versions import optimizer_variables
from .checkpoint_files import (
    prefix_of,
    remove_checkpoint,
    saved_steps,
    too_little_space,
    why_damaged,
    write_checkpoint,
)
from .step_model import StepModel

_LOGGER = logging.getLogger("simclr_keras")
_BYTES = 4  # of a number


class Checkpoints:
    """The most recent checkpoints of a run.

    Args:
        model: A compiled model.
        directory: Folder of the checkpoints; created when the first is written.
        write_to: Another folder to write to. All workers must save, because saving may sum
            variables over them, but only the chief writes the files of the run: the others
            write elsewhere.
        keep: How many to keep.
        **state: Other objects that `tf.train.Checkpoint` tracks.
    """

    def __init__(
        self,
        model: StepModel,
        directory: str | os.PathLike,
        write_to: str | os.PathLike | None = None,
        keep: int = 3,
        **state,
    ):
        self._model, self._keep = model, keep
        self._directory = pathlib.Path(directory)
        self._write_to = pathlib.Path(write_to or directory)
        self._tracked = {**model.checkpointed(), **state}
        self._checkpoint = tf.train.Checkpoint(**self._tracked, means=model.means_variables)

    def save(self) -> None:
        """Saves the model, its optimizer, its step and its running means.

        Raises:
            RunFailure: If a weight is not finite, the disk is full, or the folder cannot be
                written to. Earlier checkpoints are as they were.
        """
        step, folder = self._model.steps_made, self._write_to
        if (name := self._not_finite()) is not None:
            raise RunFailure(
                f"The weights are not finite after step {step} ({name}), so no checkpoint was "
                f"written. {self._model.gradient_norms.described(step)} Lower "
                f"`learning_rate`. {self.last_described()}"
            )
        try:
            reason = too_little_space(folder, self._size())
            if reason is None:
                write_checkpoint(self._checkpoint, folder, step)
        except (OSError, tf.errors.OpError, RunFailure) as error:
            cause = error.__cause__ if isinstance(error, RunFailure) else error
            reason = getattr(cause, "strerror", None) or str(cause).splitlines()[0]
        if reason is not None:
            raise RunFailure(
                f"The checkpoint of step {step} could not be written to {folder}: {reason}. "
                f"{self.last_described()} Make room and run the same command again."
            )
        saved = saved_steps(folder)
        kept = [each for each in saved if each <= step][: self._keep]
        for each in set(saved).difference(
            kept
        ):  # later ones were damaged: it began before them
            remove_checkpoint(folder, each)

    def last_described(self) -> str:
        """A sentence that names the newest checkpoint that is whole."""
        folder = self._directory
        last = next((s for s in saved_steps(folder) if not why_damaged(folder, s)), None)
        if last is None:
            return "There is no checkpoint yet."
        return f"The last good checkpoint is {prefix_of(folder, last)}."

    def _not_finite(self) -> str | None:
        """The name of a weight that is not finite."""
        for variable in self._model.variables:
            value = tf.convert_to_tensor(variable)
            if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
                return variable.name
        return None

    def check_space(self) -> None:
        """Raises a `RunFailure` if the disk has no room for the checkpoints of the run."""
        count = self._keep + 1 - min(len(saved_steps(self._write_to)), self._keep)
        if reason := too_little_space(self._write_to, count * self._size()):
            raise RunFailure(
                f"There is no room for {count} more checkpoints in {self._write_to}: {reason}. Make "
                "room, or choose another `run_dir`."
            )

    @staticmethod
    def exist(directory: str | os.PathLike) -> bool:
        """Whether a checkpoint was saved in a folder."""
        return bool(saved_steps(directory))

    def restore(self) -> int:
        """Restores the newest checkpoint that is whole, if there is one; names those that are not.

        Returns:
            The number of steps already made.

        Raises:
            RunFailure: If all are damaged, or the checkpoint does not fit the model.
        """
        folder = self._directory
        damaged: list[str] = []
        for step in saved_steps(folder):
            reason = why_damaged(folder, step)
            if reason is None:
                if damaged:
                    _LOGGER.warning(
                        "The checkpoint before it is used, of step %d, because of damage in %s: %s.",
                        step,
                        folder,
                        "; ".join(damaged),
                    )
                self._restore(prefix_of(folder, step))
                return self._model.steps_made
            damaged.append(reason)
        if damaged:
            raise RunFailure(
                f"All checkpoints in {folder} are damaged: {'; '.join(damaged)}. Restore them from a "
                "copy, or remove the folder to begin again."
            )
        return 0

    def _restore(self, prefix: str) -> None:
        checkpoint = self._checkpoint
        names = [name for name, _ in tf.train.list_variables(prefix)]
        if not any(name.startswith("means/") for name in names):
            # An earlier version wrote it, always at the end of an interval.
            checkpoint = tf.train.Checkpoint(**self._tracked)
        try:
            checkpoint.read(prefix).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise RunFailure(
                f"The checkpoint {prefix} does not fit this model ({str(error).splitlines()[0]}). "
                "Use the settings and the Keras generation that wrote it, or another `run_dir`."
            ) from error

    def _size(self) -> int:
        """Bytes of a checkpoint, about."""
        variables = [*self._model.variables, *optimizer_variables(self._model.optimizer)]
        return sum(math.prod(v.shape) for v in variables) * _BYTES
