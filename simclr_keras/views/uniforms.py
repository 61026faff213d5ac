"""Random numbers that depend only on (seed, step, position, view).

`tf.random.stateless_uniform` draws different numbers under XLA than in eager mode, so these
come from Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), written in additions, rotations and exclusive ors. They are the same eager, traced,
in `tf.data` and compiled, on one replica or many.
"""

import tensorflow as tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA  # from the Skein key schedule


def threefry_2x32(
    key: tuple[tf.Tensor, tf.Tensor], counter: tuple[tf.Tensor, tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """The block cipher itself: maps each counter to two 32-bit words.

    Args:
        key: Two uint32 tensors, broadcast against the counter.
        counter: Two uint32 tensors of one shape.

    Returns:
        Two uint32 tensors of that shape.
    """
    # Shapes are lost in a function for tensors of any shape.
    return tuple(
        tf.ensure_shape(word, part.shape)
        for word, part in zip(_rounds(*key, *counter), counter)
    )


# Called, not copied, wherever numbers are drawn: its 180 operations would be most of a graph.
@tf.function(
    input_signature=[tf.TensorSpec(None, tf.uint32)] * 4,
    autograph=False,
    experimental_attributes={"_noinline": True},
)
def _rounds(key_0, key_1, x, y):
    keys = key_0, key_1, key_0 ^ key_1 ^ tf.constant(_PARITY, tf.uint32)
    x, y = x + keys[0], y + keys[1]
    for block in range(5):
        for rotation in _ROTATIONS[block % 2]:
            x = x + y
            left = tf.bitwise.left_shift(y, tf.constant(rotation, tf.uint32))
            right = tf.bitwise.right_shift(y, tf.constant(32 - rotation, tf.uint32))
            y = (left | right) ^ x
        x = x + keys[(block + 1) % 3]
        y = y + keys[(block + 2) % 3] + tf.constant(block + 1, tf.uint32)
    return x, y


def uniforms(
    seed: tf.Tensor, positions: tf.Tensor, view: int, count: int, first: int = 0
) -> tf.Tensor:
    """A row of `count` uniform numbers for each image of a batch.

    Args:
        seed: int64 `(2,)`: the run seed, any integer, and the step, taken modulo 2**32.
        positions: int64 `(N,)`, the images' positions in the global batch.
        view: From 0 to 65,535.
        count: How many numbers an image needs.
        first: Index, even, of the first among the 131,072 numbers of a view. Defaults to 0.

    Returns:
        float32 `(N, count)` in [0, 1).
    """
    key = _key(seed)
    pairs = (count + 1) // 2
    blocks = tf.range(pairs, dtype=tf.int64) + (view * 2**16 + first // 2)
    rows = (positions & 0xFFFFFFFF)[:, None]
    shape = tf.stack([tf.shape(positions)[0], pairs])
    words = threefry_2x32(
        key,
        (
            tf.broadcast_to(tf.cast(rows, tf.uint32), shape),
            tf.broadcast_to(tf.cast(blocks, tf.uint32)[None], shape),
        ),
    )
    bits = tf.reshape(tf.stack(words, axis=-1), [-1, 2 * pairs])[:, :count]  # (N, count)
    # 24 bits fill a float32 mantissa: every value is exact and below one.
    return (
        tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) / 2.0**24
    )


def _key(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The cipher's key for (run seed, step): two uint32 scalars.

    The key has room for 32 bits of each. If the upper half of the run seed is 0, the key is
    (lower half, step); otherwise that pair is encrypted under the upper half, under which no
    two pairs collide.
    """
    low, step = tf.unstack(tf.cast(seed & 0xFFFFFFFF, tf.uint32), num=2)
    high = tf.bitwise.right_shift(seed[0], tf.constant(32, tf.int64))
    high = tf.cast(high & 0xFFFFFFFF, tf.uint32)
    return tf.cond(
        high == 0,
        lambda: (low, step),
        lambda: threefry_2x32((high, tf.zeros_like(high)), (low, step)),
    )
