"""The global batch: what a replica needs to know about the others.

Call every function in replica context (inside `train_step`); without a strategy there is one
replica and they cost nothing.
"""

import tensorflow as tf


def number_of_replicas() -> int:
    """How many replicas share the step."""
    return tf.distribute.get_replica_context().num_replicas_in_sync


def replica_id() -> tf.Tensor:
    """This replica's index, int32 scalar; it holds that part of the global batch."""
    return tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)


def global_sum(value: tf.Tensor) -> tf.Tensor:
    """The sum of `value` over replicas, the same on each."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)


def gather(rows: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, `(n, K) -> (N, K)`, in the order of the global batch.

    The gradient is the sum over all replicas of their gradients for these rows.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return rows
    return context.all_gather(rows, axis=0)


def check_even(local_size: tf.Tensor) -> tf.Tensor:
    """Asserts that all replicas hold the same number of images; returns `local_size`."""
    replicas = number_of_replicas()
    if replicas == 1:
        return local_size
    total = global_sum(local_size)
    message = (
        f"The batch does not divide into {replicas} equal parts, one for each replica, so the "
        "contrastive batch would be uneven. Use a batch size that is a multiple of "
        f"{replicas}, and drop_remainder=True (for NumPy input: a multiple of the batch size)."
    )
    with tf.control_dependencies(
        [tf.debugging.assert_equal(total, local_size * replicas, message=message)]
    ):
        return tf.identity(local_size)


def local_rows(rows: tf.Tensor, local_size: tf.Tensor) -> tf.Tensor:
    """This replica's part of rows of the global batch, `(N, ...) -> (n, ...)`."""
    if number_of_replicas() == 1:
        return rows
    start = replica_id() * local_size
    return rows[start : start + local_size]
