"""In a run: tests/runs/test_monitor.py."""

import types

import keras

from simclr_keras.training.own_callbacks import OwnCallbacks


def test_csv_logger_keeps_its_rows_over_several_calls_of_fit(tmp_path):
    """It begins its file anew whenever training begins."""
    own = OwnCallbacks([keras.callbacks.CSVLogger(tmp_path / "log.csv")])
    own.set_model(types.SimpleNamespace(steps_made=7, stop_training=False))
    for epoch in range(2):
        own.on_train_begin()
        own.on_epoch_begin(epoch)
        own.on_epoch_end(epoch, {"loss": 3.0 - epoch})
        own.on_train_end()
    own.conclude()
    rows = [line.split(",")[:3] for line in (tmp_path / "log.csv").read_text().split()]
    assert rows == [["epoch", "loss", "step"], ["0", "3.0", "7"], ["1", "2.0", "7"]]


def test_each_callback_is_called_with_logs_of_its_own():
    class Noted(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.seen = []

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append((batch, dict(logs)))
            logs["loss"] = 0.0

    notes, logs = [Noted(), Noted()], {"loss": 1.5}
    own = OwnCallbacks(notes)
    own.set_params({"steps": 3})
    own.on_train_batch_begin(2)
    own.on_train_batch_end(2, logs)
    assert notes[0].seen == notes[1].seen == [(2, {"loss": 1.5})] and logs == {"loss": 1.5}
    assert notes[1].params == {"steps": 3}
    own.conclude()  # a run that had nothing left to do has no end either
