"""The choice of a `tf.distribute` strategy by name."""

import tensorflow as tf

from ..errors import InputError

STRATEGIES = ("auto", "one", "mirrored")


def choose_strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy for this machine.

    Args:
        name: `"one"` trains on one device, `"mirrored"` on every GPU of this machine (or every
            logical CPU device when there is no GPU), `"auto"` is `"mirrored"` when there are
            several GPUs and `"one"` otherwise.

    Returns:
        The strategy; build the model and its optimizer inside `strategy.scope()`.

    Raises:
        InputError: If the name is unknown.
    """
    if name not in STRATEGIES:
        raise InputError(f"`strategy` must be one of {STRATEGIES}. Received: strategy={name!r}")
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def check_divides(batch_size: int, strategy: tf.distribute.Strategy) -> None:
    """Refuses a global batch that does not split evenly over the replicas.

    Raises:
        InputError: If `batch_size` is not a multiple of the number of replicas.
    """
    count = strategy.num_replicas_in_sync
    if batch_size % count:
        raise InputError(
            f"A batch of {batch_size} does not divide over {count} replicas. Choose a "
            f"--batch-size that is a multiple of {count}."
        )
