"""Exact resume: everything that the next step depends on, saved with `tf.train.Checkpoint`.

Keras' BackupAndRestore loses the state of wrapped optimizers, and `.keras` files do not store
the position in the learning-rate schedule. Data order and views need no state: they are
functions of the step.
"""

import os

import tensorflow as tf

from ..errors import RunFailure
from .step_model import StepModel


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
        keep: int = 2,
        **state,
    ):
        self._model = model
        self._directory = str(directory)
        self._tracked = {**model.checkpointed(), **state}
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**self._tracked, means=model.means_variables),
            str(write_to or directory),
            max_to_keep=keep,
        )

    def save(self) -> None:
        """Saves the model, its optimizer, its step and its running means."""
        self._manager.save(checkpoint_number=self._model.steps_made)

    @staticmethod
    def exist(directory: str | os.PathLike) -> bool:
        """Whether a checkpoint was saved in a folder."""
        return tf.train.latest_checkpoint(str(directory)) is not None

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one.

        Returns:
            The number of steps already made.

        Raises:
            RunFailure: If the checkpoint does not fit the model.
        """
        latest = tf.train.latest_checkpoint(self._directory)
        if latest is None:
            return 0
        checkpoint = self._manager.checkpoint
        names = [name for name, _ in tf.train.list_variables(latest)]
        if not any(name.startswith("means/") for name in names):
            # An earlier version wrote it, always at the end of an interval.
            checkpoint = tf.train.Checkpoint(**self._tracked)
        try:
            checkpoint.restore(latest).assert_existing_objects_matched()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise RunFailure(
                f"The checkpoint {latest} does not fit this model ({str(error).splitlines()[0]}). "
                "Use the settings and the Keras generation that wrote it, or another `run_dir`."
            ) from error
        return self._model.steps_made
