"""Checks that the workers of a run agree, and detects a lost worker."""

import functools
import json
import zlib
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from ..errors import InputError, RunFailure

# Errors with which collective operations and the workers' health check report a lost peer.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
_BLOCK = 2**17  # integers that workers exchange at a time: a mebibyte


def check_agreement(
    strategy: tf.distribute.Strategy, settings: dict, counts: list[int], step: int
) -> None:
    """Raises, before a run's first step, if its workers would train different things.

    Args:
        strategy: The run's strategy.
        settings: This worker's settings that affect what it computes; JSON-serialisable.
        counts: Numbers of images and of steps that this worker found.
        step: The step that this worker restored.

    Raises:
        InputError: If the settings or the data differ.
        RunFailure: If another worker restored a different step.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    digest = zlib.crc32(json.dumps(settings, sort_keys=True).encode())
    rows = _gathered(strategy, [digest, *counts, step])
    for name, column in (("settings", 0), ("numbers of images", 1), ("numbers of steps", 2)):
        if len(set(rows[:, column].tolist())) > 1:
            raise InputError(
                f"The workers have different {name}. Give each the same command and the same "
                f"data. Received by worker: {rows[:, column].tolist()}"
            )
    steps = rows[:, 3].tolist()
    if len(set(steps)) > 1:
        raise RunFailure(
            f"The workers would continue at different steps {steps}: `run_dir` must be a folder "
            "that all of them share."
        )


def check_same_images(strategy: tf.distribute.Strategy, digest: int | None) -> None:
    """Raises if the workers have loaded different images; they must call it together.

    Args:
        strategy: The run's strategy, of several workers.
        digest: Of what this worker has loaded, at least 0; `None` if it could not.

    Raises:
        InputError: If they differ, or another worker could not load them.
        RunFailure: If another worker is lost.
    """
    try:
        (digests,) = _gathered(strategy, [-1 if digest is None else digest]).T.tolist()
    except _LOST as error:
        raise lost_worker_failure("before the first step", error) from error
    if digest is None:
        return  # the caller knows why
    if -1 in digests:
        raise InputError("Another worker could not load its images, and says why.")
    if len(set(digests)) > 1:
        raise InputError(
            "The workers have different images, by name, size or label. Give each the same files. "
            f"Received by worker: {[f'{number:014x}' for number in digests]}"
        )


def largest_of_workers(strategy: tf.distribute.Strategy) -> Callable[[list[int]], list[int]]:
    """What finds the largest of each number over all workers; they must call it together.

    Args:
        strategy: The run's strategy.

    Returns:
        A function from a list of integers, always of the same length, to a list of integers; with
        a single worker, the numbers themselves.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return list
    gather = functools.cache(lambda length: _gathering(strategy, length))
    return lambda numbers: gather(len(numbers))(numbers).max(axis=0).tolist()


def from_chief(strategy: tf.distribute.Strategy, content: bytes) -> bytes:
    """What the chief passes to the others; they must call it together.

    Args:
        strategy: The run's strategy, of several workers.
        content: Of the chief; of the others, nothing.

    Returns:
        The chief's.

    Raises:
        RunFailure: If another worker is lost.
    """
    step, parts = 8 * _BLOCK, []
    try:
        (length,) = largest_of_workers(strategy)([len(content)])
        gather = _gathering(strategy, _BLOCK)
        for first in range(0, length, step):
            block = content[first : first + step].ljust(step, b"\0")
            parts.append(gather(np.frombuffer(block, np.int64))[0].tobytes())
    except _LOST as error:
        raise lost_worker_failure("before the first step", error) from error
    return b"".join(parts)[:length]


def leave_together(strategy: tf.distribute.Strategy, chief: bool) -> None:
    """Waits for the other workers at the end of a run, while the chief is still saving.

    A worker that left earlier would look like one that died.

    Args:
        strategy: The run's strategy.
        chief: Whether this is the worker that saved the run.

    Raises:
        RunFailure: If the chief is lost.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    try:
        _gathered(strategy, [0])
    except _LOST as error:
        if not chief:  # the chief already has its result
            raise lost_worker_failure("at the end of the run", error) from error


def lost_worker(strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> bool:
    """Whether an error in a step means that another worker is lost."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and isinstance(
        error, _LOST
    )


def lost_worker_failure(when: str, error: tf.errors.OpError) -> RunFailure:
    """The failure that reports a lost worker."""
    return RunFailure(
        f"Another worker is gone, or cannot be reached, {when} "
        f"({str(error).splitlines()[0][:200]}). Start all workers again with the same "
        "command: they continue from the last checkpoint."
    )


def _gathered(strategy, row: list[int]) -> np.ndarray:
    """The rows of all workers, int64 `(replicas, n)`."""
    return _gathering(strategy, len(row))(row)


def _gathering(strategy, length: int) -> Callable[[Sequence[int] | np.ndarray], np.ndarray]:
    """What gathers the rows of all workers; traced once."""
    with tf.device("CPU:0"):  # an argument would have no device to be gathered to
        mine = tf.Variable(tf.zeros([1, length], tf.int64), trainable=False)

    @tf.function
    def gather():
        context = tf.distribute.get_replica_context()
        return context.all_gather(mine.read_value(), axis=0)

    def gathered(row: Sequence[int] | np.ndarray) -> np.ndarray:
        mine.assign([row])
        return strategy.experimental_local_results(strategy.run(gather))[0].numpy()

    return gathered
