"""`InputWait`: how long training waits for its data."""

import tensorflow as tf


class InputWait:
    """Sums the time between a request for a batch and its arrival.

    Only where the training step itself requests its batches, as on a single device: with several
    replicas, batches are requested in advance.
    """

    def __init__(self) -> None:
        with tf.device("CPU:0"):
            self._seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)

    def timed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """The same batches, measured."""

        def arrived(requested, *batch):
            self._seconds.assign_add(tf.timestamp() - requested)
            return batch if len(batch) > 1 else batch[0]

        # `zip` asks its inputs in order: the clock first, then the batch.
        clock = tf.data.Dataset.counter().map(lambda _: tf.timestamp())
        options = tf.data.Options()
        # A buffer behind this would request batches in advance.
        options.experimental_optimization.inject_prefetch = False
        return tf.data.Dataset.zip((clock, batches)).map(arrived).with_options(options)

    @property
    def seconds(self) -> float:
        """Time waited so far."""
        return float(self._seconds.read_value())
