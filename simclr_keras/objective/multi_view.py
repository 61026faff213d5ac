"""NT-Xent over more than two views of each image.

N images in the global batch, n of them on this replica, V views of each, K projection dimensions.
"""

from collections.abc import Sequence

import tensorflow as tf

from . import replicas
from .contrast import TILE_ROWS, Contrast, Tiles, check_temperature


def multi_view_nt_xent_loss(
    projections: Sequence[tf.Tensor],
    temperature: float = 0.1,
    decoupled: bool = False,
    tile_rows: int = TILE_ROWS,
) -> tf.Tensor:
    """NT-Xent over all pairs of views of an image, each against the views of other images only.

    For a view i, P(i) the other V - 1 views of its image, N(i) the V(N - 1) views of the other
    images, and sim the cosine similarity:

        l(i, p) = -log( exp(sim(z_i, z_p) / tau)
                        / (exp(sim(z_i, z_p) / tau) + sum_{k in N(i)} exp(sim(z_i, z_k) / tau)) )

    averaged over p in P(i) and over the views i of an image. With V = 2 this is `nt_xent_loss`:
    Equation 1 of the paper. With more views, the other positives are left out of the denominator:
    they are not to be pushed away. Collapse (all projections equal) gives ln(1 + V(N - 1)).

    The `(VN, VN)` similarities are never all in memory, as in `nt_xent_loss`. (First derivatives
    only.)

    Args:
        projections: V tensors, floating `(N, K)`: the first views, the second views, and so on.
        temperature: tau > 0. Defaults to 0.1.
        decoupled: Leave the positive out of the denominator too, as in `decoupled_nt_xent_loss`.
            Collapse then gives ln(V(N - 1)).
        tile_rows: Rows of the similarities to hold at a time. Defaults to 512.

    Returns:
        float32 `(N,)`: the mean over the pairs of an image.

    Raises:
        ValueError: If there are fewer than two views, their shapes differ or the temperature is
            not positive.

    Example:
        >>> import math
        >>> import tensorflow as tf
        >>> import simclr_keras as sk
        >>> equal = tf.ones((4, 8))
        >>> loss = sk.multi_view_nt_xent_loss([equal] * 3, temperature=0.1)
        >>> abs(float(loss[0]) - math.log(1 + 3 * 3)) < 1e-6
        True

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Equation 1; several positives:
        Shidani et al. 2024, https://arxiv.org/abs/2403.05490 (the mean over one-against-one
        losses); Yeh et al. 2021, https://arxiv.org/abs/2110.06848 (decoupled).
    """
    return contrast_views(projections, temperature, decoupled, tile_rows=tile_rows).losses


def contrast_views(
    projections: Sequence[tf.Tensor],
    temperature: float,
    decoupled: bool = False,
    across_replicas: bool = False,
    tile_rows: int = TILE_ROWS,
) -> Contrast:
    """The loss and the accuracy of each image's V views.

    With s_ik the cosine similarity over tau:

        l_ip = softplus(M_i - s_ip)  (decoupled: M_i - s_ip),  M_i = log sum_{k in N(i)} exp(s_ik)

    If N is 1, there are no negatives: loss and gradient are 0. The accuracy is the share of pairs
    (i, p) with s_ip above all s_ik.

    Args:
        projections: V tensors, floating `(n, K)`: this replica's first views, second views, ...
        temperature: tau > 0.
        decoupled: See `multi_view_nt_xent_loss`.
        across_replicas: As in `contrast`.
        tile_rows: As in `contrast`.

    Returns:
        A `Contrast` of `(n,)` images.
    """
    projections = [tf.cast(z, tf.float32) for z in projections]
    number = len(projections)  # V
    _check(projections, temperature)
    # The epsilon inside the square root keeps the gradient of a zero vector finite.
    views = tf.math.l2_normalize(tf.concat(projections, axis=0), axis=1, epsilon=1e-12)
    log_sums, nearest, has_negatives = _negatives(
        views, number, temperature, across_replicas, tile_rows
    )
    of_images = tf.reshape(views, [number, -1, views.shape[1]])  # (V, n, K)
    positives = tf.einsum("vnk,wnk->nvw", of_images, of_images) / temperature
    is_pair = 1.0 - tf.eye(number)

    def by_image(rows):
        """`(Vn,)` -> `(n, V, 1)`."""
        return tf.transpose(tf.reshape(rows, [number, -1]))[:, :, None]

    def mean(pairs):
        """`(n, V, V)` -> `(n,)`: over the pairs of different views."""
        return tf.reduce_sum(pairs * is_pair, axis=[1, 2]) / (number * (number - 1))

    margins = by_image(log_sums) - positives
    losses = margins if decoupled else tf.nn.softplus(margins)
    hits = tf.cast(positives > by_image(nearest), tf.float32)
    return Contrast(mean(tf.where(has_negatives, losses, 0.0)), mean(hits))


def _negatives(views, number: int, temperature: float, across_replicas: bool, tile_rows: int):
    """Compares every view with those of other images.

    The similarities are symmetric: the gradient of sum_i d_i M_i over the global batch with respect
    to the unit vector v_i needs only that view's row, as in `contrast`:

        1/tau * sum_{k in N(i)} (d_i exp(s_ik - M_i) + d_k exp(s_ik - M_k)) v_k

    Args:
        views: `(Vn, K)` unit vectors.
        number: V.
        temperature: See `contrast_views`.
        across_replicas: See `contrast_views`.
        tile_rows: See `contrast_views`.

    Returns:
        M and the largest s_ik, `(Vn,)` each; and whether there are negatives at all.
    """
    count = tf.shape(views)[0] // number  # n

    def gather(rows):
        """`(Vn, D)` to `(VN, D)`: all replicas' first views, then all their second views, ..."""
        if not across_replicas:
            return rows
        stacked = tf.stack(tf.split(rows, number), axis=1)  # (n, V, D): one message
        return tf.concat(tf.unstack(replicas.gather(stacked), num=number, axis=1), axis=0)

    candidates = gather(tf.stop_gradient(views))  # (VN, K)
    images = tf.shape(candidates)[0] // number  # N
    image = tf.range(count) + (replicas.replica_id() * count if across_replicas else 0)
    # Columns of the views of each row's image.
    own = tf.tile(image[:, None] + images * tf.range(number), [number, 1])  # (Vn, V)
    tiles = Tiles(number * count, tile_rows)

    def similarities(rows, own):
        block = tf.matmul(rows / temperature, candidates, transpose_b=True)  # (t, VN)
        rows_of = tf.repeat(tf.range(tf.shape(own)[0]), number)
        places = tf.stack([rows_of, tf.reshape(own, [-1])], axis=1)
        # -inf, not a large negative number: exp(-inf) is exactly 0.
        return tf.tensor_scatter_nd_update(
            block, places, tf.fill(tf.shape(places)[:1], -float("inf"))
        )

    def forward(rows, own):
        block = similarities(rows, own)
        nearest = tf.reduce_max(block, axis=1)
        largest = tf.where(images > 1, nearest, 0.0)
        total = tf.reduce_sum(tf.exp(block - largest[:, None]), axis=1)
        return largest + tf.math.log(tf.where(images > 1, total, 1.0)), nearest

    @tf.custom_gradient
    def of(views):
        log_sums, nearest = tiles.map(forward, (views, own), (tf.float32, tf.float32))

        def gradient(upstream, _):
            everyones = gather(tf.stack([log_sums, upstream], axis=1))  # (VN, 2)
            all_log_sums, all_upstream = everyones[:, 0], everyones[:, 1]

            def backward(rows, own, log_sums, upstream):
                block = similarities(rows, own)
                weights = tf.exp(block - log_sums[:, None]) * upstream[:, None]
                weights += tf.exp(block - all_log_sums) * all_upstream
                return tf.matmul(weights, candidates)  # (t, K)

            towards = tiles.map(backward, (views, own, log_sums, upstream), tf.float32)
            return towards / temperature

        return (log_sums, nearest), gradient

    return *of(views), images > 1


def _check(projections, temperature: float) -> None:
    check_temperature(temperature)
    shapes = [z.shape for z in projections]
    if len(shapes) < 2 or not all(shape.is_compatible_with(shapes[0]) for shape in shapes):
        raise ValueError(
            "`projections` must be two or more tensors of the same shape (N, K). Received: "
            f"{', '.join(map(str, shapes))}"
        )
