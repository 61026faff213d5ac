"""`peak_memory`: how much memory training has needed so far."""

import sys

import tensorflow as tf


def peak_memory() -> float | None:
    """The most bytes in use so far, of the first GPU or of this process; `None` if not known."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"]
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
