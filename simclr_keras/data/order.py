"""The resumable shuffle: picks the images of each step from (seed, step) alone."""

import tensorflow as tf


def epoch_order(epoch: tf.Tensor, *, length: int, seed: int) -> tf.Tensor:
    """The order of one epoch: a uniformly random permutation, stateless and new in each epoch.

    (`tf.random.experimental.index_shuffle` would need no memory, but for up to 65,536 images
    it truncates the seed and the epoch to 8 bits each: epoch 256 would repeat epoch 0.)

    Args:
        epoch: int64 scalar, counted from 0.
        length: Number of examples, at least 1.
        seed: The run's seed, any 64-bit integer.

    Returns:
        `(length,)`, every number in 0..length-1 once; int32, half the memory, if they fit.
    """
    dtype = tf.int32 if length < 2**31 else tf.int64
    # Views are drawn from (seed, step); a negative number keeps this stream separate.
    key = tf.stack([tf.constant(seed, tf.int64), -1 - tf.cast(epoch, tf.int64)])
    return tf.random.experimental.stateless_shuffle(
        tf.range(length, dtype=dtype), seed=key, alg="philox"
    )


def step_indices(
    *, length: int, batch_size: int, seed: int, first_step: int, num_steps: int
) -> tf.data.Dataset:
    """The examples of steps `first_step` to `num_steps` - 1.

    An epoch has length // batch_size steps; the examples that do not fill another batch are
    dropped, a different remainder each epoch.

    Args:
        length: Number of examples, at least `batch_size`.
        batch_size: B, images per step over all replicas.
        seed: The run's seed.
        first_step: First step, counted from 0.
        num_steps: Steps of the whole run.

    Returns:
        A dataset of (step, index): an int64 scalar, and int64 `(B,)` in 0..length-1.

    Example:
        >>> from simclr_keras.data.order import step_indices
        >>> order = dict(length=5, batch_size=2, seed=0, num_steps=9)
        >>> whole = list(step_indices(first_step=0, **order))
        >>> rest = list(step_indices(first_step=7, **order))
        >>> [int(step) for step, _ in rest], bool((whole[7][1] == rest[0][1]).numpy().all())
        ([7, 8], True)
    """
    steps_per_epoch = length // batch_size

    def steps_of(epoch):
        order = epoch_order(epoch, length=length, seed=seed)
        index = tf.reshape(order[: steps_per_epoch * batch_size], [steps_per_epoch, batch_size])
        steps = epoch * steps_per_epoch + tf.range(steps_per_epoch, dtype=tf.int64)
        return tf.data.Dataset.from_tensor_slices((steps, index))

    epochs = tf.data.Dataset.range(
        first_step // steps_per_epoch, -(-num_steps // steps_per_epoch)
    )
    steps = epochs.flat_map(steps_of).skip(first_step % steps_per_epoch)
    steps = steps.take(max(0, num_steps - first_step))
    return steps.map(lambda step, index: (step, tf.cast(index, tf.int64)))
