"""`seconds_of_steps`: times the steps of `fit`, for the scripts beside it."""

import time


def seconds_of_steps(model, data, skipped: int, **options) -> list[float]:
    """Seconds between the ends of steps.

    Args:
        model: A compiled model.
        data: What `fit` takes.
        skipped: How many steps are not counted at first; the first one is traced.
        **options: Of `fit`.
    """
    import keras
    import numpy as np

    class Ends(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.times = []

        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    ends = Ends()
    model.fit(data, verbose=0, callbacks=[ends], **options)
    return list(np.diff(ends.times))[skipped - 1 :]
