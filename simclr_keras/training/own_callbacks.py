"""`OwnCallbacks`: Keras callbacks of the user in a run, as if it were one `fit`."""

from collections.abc import Sequence

import keras


class OwnCallbacks(keras.callbacks.Callback):
    """Passes the calls of Keras on to a user's callbacks.

    A run may consist of several calls of `fit`: the callbacks see one beginning and, from `conclude`,
    one end. An epoch is an interval of the run, and numbers go on where an interrupted run ended.
    What they do to the logs does not reach the run.

    Args:
        callbacks: Keras callbacks.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]):
        super().__init__()
        self._callbacks = list(callbacks)
        self._began = False
        self._logs: dict[str, float] = {}

    def set_params(self, params):
        super().set_params(params)
        for each in self._callbacks:
            each.set_params(params)

    def set_model(self, model):
        super().set_model(model)
        for each in self._callbacks:
            each.set_model(model)

    def on_train_begin(self, logs=None):
        if not self._began:
            self._began = True
            self._call("on_train_begin", logs=logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._call("on_train_batch_begin", batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        self._call("on_train_batch_end", batch, logs=logs)

    def on_epoch_end(self, epoch, logs=None):
        self._logs = {"step": self.model.steps_made, **(logs or {})}
        self._call("on_epoch_end", epoch, logs=self._logs)

    def conclude(self) -> None:
        """The end of the run, with the logs of its last interval."""
        if self._began:
            self._call("on_train_end", logs=self._logs)

    def _call(self, name: str, *place: int, logs: dict | None) -> None:
        for each in self._callbacks:
            getattr(each, name)(*place, logs=dict(logs or {}))
