"""`contrast`: compares every view with all of the global batch, one tile of rows at a time.

N pairs in the global batch, n of them on this replica, K projection dimensions, T tiles of t
rows. Only a `(t, 2N)` part of the `(2N, 2N)` similarities exists at any time: the forward pass
keeps two numbers per view, and the gradient recomputes the similarities.
"""

from typing import NamedTuple

import tensorflow as tf

from . import replicas

TILE_ROWS = 512  # on CPUs 128 to 1024 take the same time; GPUs prefer large tiles


class Contrast(NamedTuple):
    """Each view compared with all others: float32 `(n,)`, one value per pair.

    The accuracy shows that training progresses. Do not choose a model by it: in the paper's
    Table 5, 90.5 % goes with worse features than 87.8 %. A tie counts as a miss, so collapse
    gives 0.
    """

    losses: tf.Tensor
    accuracy: tf.Tensor  # 0, 0.5 or 1: share of a pair's views whose nearest is the partner


def contrast(
    projections_1: tf.Tensor,
    projections_2: tf.Tensor,
    temperature: float,
    decoupled: bool = False,
    across_replicas: bool = False,
    tile_rows: int = TILE_ROWS,
) -> Contrast:
    """The loss and the accuracy of each pair of views, from one pass over the similarities.

    With s_ik the cosine similarity over tau, p(i) the partner of view i and C(i) its
    candidates (all k != i; decoupled: neither i nor p(i)):

        l_i = L_i - s_ip(i),    L_i = log sum_{k in C(i)} exp(s_ik)

    If N is 1, there is no other view, so the partner is the only candidate in both forms: loss
    and gradient are 0.

    The similarities are symmetric, so the gradient of sum_i d_i l_i over the *global* batch
    with respect to the unit vector v_i of a view needs only that view's row:

        1/tau * ( sum_k (d_i exp(s_ik - L_i) + d_k exp(s_ik - L_k)) v_k  -  (d_i + d_p) v_p )

    with the first sum over C(i). A replica therefore computes only its own 2n rows; from the
    others it needs v (forward), and L and d, one number each per view (backward).

    Args:
        projections_1: floating `(n, K)`, this replica's first views, of any norm.
        projections_2: floating `(n, K)`, its second views.
        temperature: tau > 0.
        decoupled: Leave the partner out of the candidates.
        across_replicas: Use the views of all replicas as candidates (call in replica context,
            with the same number of rows on each); the gradient is that of the sum of all
            replicas' losses.
        tile_rows: t, rows of the similarities to hold at a time.

    Returns:
        A `Contrast`.
    """
    projections_1 = tf.cast(projections_1, tf.float32)
    projections_2 = tf.cast(projections_2, tf.float32)
    _check(projections_1, projections_2, temperature)
    # The epsilon inside the square root keeps the gradient of a zero vector finite.
    views = tf.math.l2_normalize(
        tf.concat([projections_1, projections_2], axis=0), axis=1, epsilon=1e-12
    )  # (2n, K)
    pairs = tf.shape(views)[0] // 2  # n
    gather = _gather_views if across_replicas else tf.identity
    candidates = gather(tf.stop_gradient(views))  # (2N, K)
    count = tf.shape(candidates)[0]  # 2N
    own = tf.range(pairs) + (replicas.replica_id() * pairs if across_replicas else 0)
    own = tf.concat([own, own + count // 2], axis=0)  # (2n,): each row's own column
    partner = (own + count // 2) % count
    tiles = Tiles(2 * pairs, tile_rows)
    partner_counts = count == 2 if decoupled else True

    def similarities(rows, excluded):
        block = tf.matmul(rows / temperature, candidates, transpose_b=True)  # (t, 2N)
        # -inf, not a large negative number: exp(-inf) is exactly 0.
        for columns in excluded:
            block = _set(block, columns, -float("inf"))
        return block

    def forward(rows, own, partner):
        block = similarities(rows, [own])
        positive = tf.gather(block, partner, axis=1, batch_dims=1)  # (t,)
        block = _set(block, partner, -float("inf"))
        nearest = tf.reduce_max(block, axis=1)
        largest = tf.where(partner_counts, tf.maximum(nearest, positive), nearest)
        total = tf.reduce_sum(tf.exp(block - largest[:, None]), axis=1)
        total += tf.where(partner_counts, tf.exp(positive - largest), 0.0)
        hit = tf.cast(positive > nearest, tf.float32)
        return largest + tf.math.log(total), positive, hit

    @tf.custom_gradient
    def rows_of(views):
        log_sums, positives, hits = tiles.map(
            forward, (views, own, partner), (tf.float32, tf.float32, tf.float32)
        )

        def gradient(upstream, _):
            everyones = gather(tf.stack([log_sums, upstream], axis=1))  # (2N, 2)
            all_log_sums, all_upstream = everyones[:, 0], everyones[:, 1]

            def backward(rows, own, partner, log_sums, upstream):
                # Excluding `own` twice keeps the partner.
                left_out = [tf.where(partner_counts, own, partner)] if decoupled else []
                block = similarities(rows, [own, *left_out])
                weights = tf.exp(block - log_sums[:, None]) * upstream[:, None]
                weights += tf.exp(block - all_log_sums) * all_upstream
                return tf.matmul(weights, candidates)  # (t, K)

            towards = tiles.map(backward, (views, own, partner, log_sums, upstream), tf.float32)
            partners = tf.concat([views[pairs:], views[:pairs]], axis=0)
            theirs = tf.concat([upstream[pairs:], upstream[:pairs]], axis=0)
            return (towards - (upstream + theirs)[:, None] * partners) / temperature

        return (log_sums - positives, hits), gradient

    losses, hits = rows_of(views)  # (2n,)
    return Contrast(*(tf.reduce_mean(tf.reshape(x, [2, -1]), axis=0) for x in (losses, hits)))


class Tiles:
    """Splits rows into T tiles of t rows, the last one padded with zeros."""

    def __init__(self, rows: tf.Tensor, most: int):
        self._rows = rows
        self._count = tf.maximum(1, -(-rows // most))  # T
        self._padded = -(-rows // self._count) * self._count

    def map(self, function, arrays, outputs):
        """Joined rows of `function(*tiles)`, one tile at a time; `outputs`: its dtypes."""
        results = tf.map_fn(
            lambda tiles: function(*tiles),
            tuple(self._split(array) for array in arrays),
            fn_output_signature=outputs,
            parallel_iterations=1,  # more would hold several tiles at once
        )
        return tf.nest.map_structure(self._join, results)

    def _split(self, array):
        padding = [[0, self._padded - self._rows]] + [[0, 0]] * (array.shape.rank - 1)
        shape = tf.concat([[self._count, -1], tf.shape(array)[1:]], axis=0)
        return tf.reshape(tf.pad(array, padding), shape)

    def _join(self, tiles):
        shape = tf.concat([[self._padded], tf.shape(tiles)[2:]], axis=0)
        return tf.reshape(tiles, shape)[: self._rows]


def _set(block: tf.Tensor, columns: tf.Tensor, value: float) -> tf.Tensor:
    """`block` with `value` in one column of each row; in place where TensorFlow can."""
    places = tf.stack([tf.range(tf.shape(block)[0]), columns], axis=1)
    return tf.tensor_scatter_nd_update(block, places, tf.fill(tf.shape(columns), value))


def _gather_views(rows: tf.Tensor) -> tf.Tensor:
    """Gathers `(2n, D)` to `(2N, D)`: all replicas' first views, then all their second views."""
    pairs = tf.stack(tf.split(rows, 2), axis=1)  # (n, 2, D): one message, not two
    return tf.concat(tf.unstack(replicas.gather(pairs), num=2, axis=1), axis=0)


def _check(projections_1, projections_2, temperature) -> None:
    """Raises a `ValueError` for input that would give NaN or a wrong loss."""
    check_temperature(temperature)
    shapes = projections_1.shape, projections_2.shape
    if not tf.TensorShape(shapes[0]).is_compatible_with(shapes[1]):
        raise ValueError(
            "`projections_1` and `projections_2` must have the same shape (N, K). Received: "
            f"projections_1.shape={shapes[0]}, projections_2.shape={shapes[1]}"
        )


def check_temperature(temperature: float) -> None:
    """Raises a `ValueError` unless tau > 0."""
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
