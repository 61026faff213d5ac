"""What one watches beside the loss."""

import tensorflow as tf

from .nt_xent import view_similarities


def contrastive_accuracy(projections_1: tf.Tensor, projections_2: tf.Tensor) -> tf.Tensor:
    """Whether each view's partner is its nearest among the 2N - 1 other views.

    Useful for seeing that training moves; not for choosing a model: the paper's Table 5 has
    90.5 % with worse features than 87.8 %.

    Args:
        projections_1: floating `(N, K)`.
        projections_2: floating `(N, K)`.

    Returns:
        float32 `(N,)`: 0, 0.5 or 1, the share of a pair's two views for which it holds.
        A tie counts as a miss, so that collapse gives 0.
    """
    similarities = view_similarities(projections_1, projections_2)  # (2N, 2N)
    pairs = tf.shape(similarities)[0] // 2
    partner = tf.concat([tf.range(pairs) + pairs, tf.range(pairs)], axis=0)
    positive = tf.gather(similarities, partner, axis=1, batch_dims=1)  # (2N,)
    others = tf.where(
        tf.one_hot(partner, 2 * pairs, on_value=True, off_value=False),
        -float("inf"),
        similarities,
    )
    hit = tf.cast(positive > tf.reduce_max(others, axis=1), tf.float32)
    return (hit[:pairs] + hit[pairs:]) / 2.0
