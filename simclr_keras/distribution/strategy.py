"""Chooses a `tf.distribute` strategy by name, and the rows that each of its workers reads."""

import functools
import os
from collections.abc import Callable

import tensorflow as tf

from ..errors import InputError
from ..settings import check_choice, choices_of
from .cluster import LocalStrategyName, StrategyName, find_cluster, tf_config


def choose_strategy(name: StrategyName = "auto") -> tf.distribute.Strategy:
    """The strategy for this machine, or for the cluster that this process belongs to.

    With several workers, call it before anything else creates a tensor: TensorFlow must set
    them up first.

    Args:
        name: `"one"` trains on one device, `"mirrored"` on every GPU of this machine (or every
            logical CPU device when there is no GPU), `"multi-worker"` on every device of every
            process of the cluster (see `find_cluster`), `"tpu"` on the TPU that `TPU_NAME`
            names, or the one of this machine. `"auto"` is `"multi-worker"` in a cluster of
            several workers, `"tpu"` if `TPU_NAME` is set, `"mirrored"` if there are several
            GPUs and `"one"` otherwise.

    Returns:
        The strategy; build the model and its optimizer inside `strategy.scope()`.

    Raises:
        InputError: If the name is unknown, or the workers or TPU it needs are not available.

    Example:
        >>> import simclr_keras as sk
        >>> sk.choose_strategy("one").num_replicas_in_sync
        1

    Reference:
        https://www.tensorflow.org/guide/distributed_training
    """
    check_choice("strategy", name, choices_of(StrategyName))
    cluster = find_cluster() if name in ("auto", "multi-worker") else None
    if name == "multi-worker" or (cluster and len(cluster.addresses) > 1):
        return _multi_worker(cluster)
    if name == "tpu" or (name == "auto" and os.environ.get("TPU_NAME")):
        return _tpu()
    gpus = tf.config.list_logical_devices("GPU")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or tf.config.list_logical_devices("CPU")
        return _mirrored(tuple(device.name for device in devices))
    return tf.distribute.get_strategy()


def choose_local_strategy(name: LocalStrategyName = "auto") -> tf.distribute.Strategy:
    """The strategy for what trains in a single process: `choose_strategy` without workers.

    Raises:
        InputError: If the name is unknown, this process is one of several workers, or the TPU is
            not available.
    """
    check_choice("strategy", name, choices_of(LocalStrategyName))
    cluster = find_cluster()
    if name == "auto" and cluster and len(cluster.addresses) > 1:
        raise InputError(
            f"This process is one of {len(cluster.addresses)} workers, but this command trains in "
            "a single process, on all of its devices. Start it once, outside the cluster, or choose "
            "`strategy=one`, `strategy=mirrored` or `strategy=tpu`."
        )
    return choose_strategy(name)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the first worker, or the only process."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    cluster = find_cluster()
    return cluster is None or cluster.index == 0


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """How many of the replicas are in this process."""
    if strategy.num_replicas_in_sync == 1:  # the default strategy does not list its device
        return 1
    return len(strategy.extended.worker_devices)


def check_divides(
    batch_size: int, strategy: tf.distribute.Strategy, micro_batch_size: int | None = None
) -> None:
    """Raises an `InputError` if the global batch does not split evenly.

    Raises:
        InputError: If `batch_size` is not a multiple of `micro_batch_size`, or either of them
            is not a multiple of the number of replicas.
    """
    count = strategy.num_replicas_in_sync
    for name, size in (("batch_size", batch_size), ("micro_batch_size", micro_batch_size)):
        if size and size % count:
            raise InputError(
                f"A batch of {size} does not divide over {count} replicas. Choose a "
                f"`{name}` that is a multiple of {count}."
            )
    if micro_batch_size and batch_size % micro_batch_size:
        raise InputError(
            f"A batch of {batch_size} does not divide into micro-batches of {micro_batch_size}. "
            f"Choose a `micro_batch_size` that divides {batch_size}."
        )


def distribute_rows(
    strategy: tf.distribute.Strategy,
    batch_size: int,
    dataset_of: Callable[[int, int], tf.data.Dataset],
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """Gives each worker its own rows of each global batch, and each replica its part of them.

    Args:
        strategy: The strategy to distribute to.
        batch_size: N, a multiple of the number of replicas.
        dataset_of: (first row, number of rows) -> dataset of these rows of each global batch.
            The order of the global batch must not depend on them.

    Returns:
        A dataset for `fit`.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.load_source("digits", "train")
        >>> def rows_of_batches(first_position, rows):
        ...     return sk.pretraining_dataset(
        ...         source, 64, seed=0, first_step=0, num_steps=3,
        ...         first_position=first_position, rows=rows,
        ...     )
        >>> strategy = sk.choose_strategy("one")
        >>> len(list(sk.distribute_rows(strategy, 64, rows_of_batches)))
        3

    Reference:
        https://www.tensorflow.org/tutorials/distribute/input
    """
    if strategy.num_replicas_in_sync == 1:
        return dataset_of(0, batch_size)

    def dataset_of_worker(context):
        rows = batch_size // context.num_input_pipelines
        parts = rows * context.num_replicas_in_sync // batch_size  # replicas of this worker
        dataset = dataset_of(context.input_pipeline_id * rows, rows)

        def split_rows(x):
            shape = tf.concat([[parts, rows // parts], tf.shape(x)[1:]], axis=0)
            # Without this, a batch of unknown size would lose the dimensions that are known.
            return tf.ensure_shape(tf.reshape(x, shape), [parts, rows // parts, *x.shape[1:]])

        def part_by_part(*batch):
            split = tuple(split_rows(x) for x in batch)
            return tf.data.Dataset.from_tensor_slices(split if len(split) > 1 else split[0])

        return dataset.flat_map(part_by_part).prefetch(parts) if parts > 1 else dataset

    return strategy.distribute_datasets_from_function(dataset_of_worker)


@functools.cache  # the collective operations of a second strategy would collide with the first's
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(devices)


def _multi_worker(cluster) -> tf.distribute.Strategy:
    if cluster is None:
        raise InputError(
            "`strategy=multi-worker` needs to know the workers, but TF_CONFIG is not set and this "
            "is not a Slurm step of several tasks. Set TF_CONFIG for each worker: "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        )
    os.environ["TF_CONFIG"] = tf_config(cluster)  # TensorFlow and Keras read it
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise InputError(
            f"Several workers must be set up before TensorFlow does anything else ({error}). "
            "Choose the strategy at the start of the process, as the command line does."
        ) from error


def _tpu() -> tf.distribute.Strategy:
    name = os.environ.get("TPU_NAME", "local")
    try:
        # Not `TPUClusterResolver.connect`: its initialisation is broken in TensorFlow 2.15.
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, tf.errors.OpError) as error:
        raise InputError(
            f"There is no TPU named {name!r} ({str(error).splitlines()[0]}). Set TPU_NAME, or "
            "choose another `strategy`."
        ) from error
