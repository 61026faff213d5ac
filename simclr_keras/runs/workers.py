"""What the workers of one run must agree on, and how they notice that one is gone."""

import dataclasses
import json
import zlib

import tensorflow as tf

from ..errors import InputError, RunFailure
from .config import PretrainConfig
from .directory import FREE_SETTINGS

# How collective operations and the health check of the workers report a lost peer.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


def check_agreement(
    strategy: tf.distribute.Strategy, config: PretrainConfig, images: int, step: int
) -> None:
    """Stops a run whose workers would train different things, before its first step.

    Args:
        strategy: The run's.
        config: This worker's settings.
        images: Number of images that this worker found.
        step: The step that this worker restored.

    Raises:
        InputError: If the settings or the data differ.
        RunFailure: If another worker restored another step.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    settings = {
        name: value
        for name, value in dataclasses.asdict(config).items()
        if name not in FREE_SETTINGS
    }
    digest = zlib.crc32(json.dumps(settings, sort_keys=True).encode())
    mine = tf.constant([[digest, images, step]], tf.int64)

    @tf.function
    def gather():
        context = tf.distribute.get_replica_context()
        return context.all_gather(mine, axis=0)

    rows = strategy.experimental_local_results(strategy.run(gather))[0].numpy()
    for name, column in (("settings", 0), ("numbers of images", 1)):
        if len(set(rows[:, column].tolist())) > 1:
            raise InputError(
                f"The workers have different {name}. Give each the same command and the same "
                f"data. Received by worker: {rows[:, column].tolist()}"
            )
    steps = rows[:, 2].tolist()
    if len(set(steps)) > 1:
        raise RunFailure(
            f"The workers would continue at different steps {steps}: --run-dir must be a folder "
            "that all of them share."
        )


def lost_worker(strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> bool:
    """Whether an error of a step means that another worker is gone."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and isinstance(
        error, _LOST
    )
