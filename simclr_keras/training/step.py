"""The training step of a whole batch, and the parts that `micro_batches.py` shares with it.

This replica has n images and the global batch N. Every function is called in replica context.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from ..data.images import UNIT_RANGE, to_unit_range
from ..keras_versions import scaled
from ..objective import replicas
from ..objective.contrast import Contrast, contrast
from ..objective.multi_view import contrast_views
from ..objective.nt_xent import NTXentLoss


class Sums(NamedTuple):
    """This replica's contributions to the logs, float32 scalars; `penalty` is the networks'."""

    penalty: tf.Tensor
    probe_loss: tf.Tensor | float = 0.0
    probe_hits: tf.Tensor | float = 0.0


class Logged(NamedTuple):
    """A logged mean over the global batch, and the number of images or views in it."""

    value: tf.Tensor
    weight: tf.Tensor


def whole_batch_gradients(model, images, labels) -> tuple[list, dict[str, Logged]]:
    """Gradients and logs of one training step of a `SimCLR` on the whole batch at once.

    Args:
        model: A compiled `SimCLR`.
        images: This replica's images.
        labels: Integers `(n,)`, -1 for none; or `None`.

    Returns:
        The gradients of `model.trainable_variables`, and the logs by name.
    """
    with tf.GradientTape() as tape:
        to_minimise, logs = contrast_batch(model, images, labels, model.step, training=True)
        to_minimise = scaled(model.optimizer, to_minimise)
    return tape.gradient(to_minimise, model.trainable_variables), logs


def contrast_batch(model, images, labels, step, training: bool, seen=0):
    """One forward pass: this replica's share of the objective, and the logs.

    Args:
        model: A `SimCLR`.
        images: This replica's n images.
        labels: Integers `(n,)`, -1 for none; or `None`.
        step: Determines which views are drawn.
        training: Whether the networks run in training mode.
        seen: Position of the global batch's first image in the validation set; 0 in training.
    """
    count = replicas.check_even(tf.shape(images)[0])  # n
    first_position = seen + tf.cast(replicas.replica_id() * count, tf.int64)
    features, projections = forward(model, images, first_position, step, training)
    views = number_of_views(model)  # V
    total = tf.cast(count * replicas.number_of_replicas(), tf.float32)  # N
    by_view = [projections[view * count : (view + 1) * count] for view in range(views)]
    pairs = contrast_pairs(model.contrastive_loss, model.temperature, by_view)
    sums = Sums(penalty_of(model))
    # Gradients are summed over replicas, so each replica adds only its share of the penalty.
    to_minimise = tf.reduce_sum(pairs.losses) / total
    to_minimise += sums.penalty / replicas.number_of_replicas()
    labelled = None
    if model.probe is not None:
        labelled = labelled_views(labels, views)
        share, hits = probe_share(model.probe, features, labels, labelled, training)
        sums = sums._replace(probe_loss=share, probe_hits=hits)
        to_minimise += share
    return to_minimise, global_logs(pairs, total, sums, labelled)


def forward(model, images, first_position, step, training: bool):
    """Features `(Vn, D)` and projections `(Vn, K)` of all views, in one forward pass."""
    # One tensor: Keras 3 refuses an argument that mixes numbers and tensors.
    seed = tf.stack([tf.cast(part, tf.int64) for part in (model.seed, step)])
    if getattr(model.augmenter, "value_range", UNIT_RANGE) != model.value_range:
        images = to_unit_range(images, model.value_range)
    views = model.augmenter(images, seed=seed, first_position=first_position)
    if len(views) != number_of_views(model):
        raise ValueError(
            "An augmenter that makes more than two views must have their number as its attribute "
            f"`views`. Received: {len(views)} views, augmenter.views={number_of_views(model)}"
        )
    features = model.encoder(tf.concat(views, axis=0), training=training)
    return features, model.projection_head(features, training=training)


def number_of_views(model) -> int:
    """V, the views that the augmenter makes of each image."""
    return getattr(model.augmenter, "views", 2)


def penalty_of(model) -> tf.Tensor:
    """The sum of the penalties of the last forward pass."""
    return tf.add_n([0.0, *(tf.cast(x, tf.float32) for x in model.losses)])


def contrast_pairs(
    loss: Callable | None,
    temperature: float,
    projections: Sequence[tf.Tensor],
) -> Contrast:
    """Losses and accuracy of this replica's images, among the candidates of all replicas.

    Args:
        loss: An `NTXentLoss`, another Keras loss, or a function of all projections that returns
            one value per pair. `None` means NT-Xent with `temperature`.
        temperature: Temperature of NT-Xent if `loss` is `None`, and of the accuracy.
        projections: V tensors `(n, K)`, one for each view; two for other losses than NT-Xent.
    """
    loss = loss or NTXentLoss(temperature)
    decoupled = False
    if isinstance(loss, NTXentLoss):
        temperature, decoupled = loss.temperature, loss.decoupled
    if len(projections) == 2:
        first, second = projections
        pairs = contrast(first, second, temperature, decoupled, across_replicas=True)
    else:
        pairs = contrast_views(projections, temperature, decoupled, across_replicas=True)
    if isinstance(loss, NTXentLoss):
        return pairs
    check_two_views(loss, len(projections))
    # `call` of a Keras loss returns one value per pair, not their mean.
    values = loss.call if isinstance(loss, keras.losses.Loss) else loss
    losses = values(*(replicas.gather(tf.cast(z, tf.float32)) for z in projections))
    if losses.shape.rank != 1:
        raise ValueError(
            f"`loss` must return one value per pair, shape (N,). Received: shape {losses.shape}"
        )
    return Contrast(replicas.local_rows(losses, tf.shape(projections[0])[0]), pairs.accuracy)


def check_two_views(loss: Callable | None, views: int) -> None:
    """Raises a `ValueError` if a loss of two batches of projections is to compare more views."""
    if views != 2 and not (loss is None or isinstance(loss, NTXentLoss)):
        raise ValueError(
            "Only 'nt-xent' and 'decoupled' compare more than two views; other losses take two "
            f"batches of projections. Received: loss={loss!r} with {views} views"
        )


def labelled_views(labels, views: int) -> tf.Tensor:
    """Number of views of the global batch that a probe learns from.

    Raises:
        ValueError: If there are no labels.
    """
    if labels is None:
        raise ValueError(
            "The model has a probe, so every batch must be (images, labels), with label "
            "-1 where there is none. Received: images only."
        )
    return views * replicas.global_sum(tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))


def probe_share(probe, features, labels, labelled, training: bool):
    """These rows' share of the probe's loss, and its correct predictions, over all views.

    No gradient reaches the features.
    """
    features = tf.stop_gradient(tf.cast(features, tf.float32))
    logits = tf.cast(probe(features, training=training), tf.float32)  # (Vn, C)
    labels = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    labels = tf.tile(labels, tf.shape(logits)[:1] // tf.shape(labels))
    known = tf.cast(labels >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
    hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
    loss = tf.reduce_sum(losses * known) / tf.maximum(labelled, 1.0)
    return loss, tf.reduce_sum(hits * known)


def global_logs(pairs: Contrast, total, sums: Sums, labelled=None) -> dict[str, Logged]:
    """The logs of the global batch, from the contributions of all replicas.

    Args:
        pairs: This replica's pairs.
        total: N.
        sums: This replica's sums.
        labelled: See `labelled_views`; `None` without a probe.
    """
    rows = tf.stack([tf.reduce_sum(pairs.losses), tf.reduce_sum(pairs.accuracy)])
    loss, accuracy = tf.unstack(replicas.global_sum(tf.stop_gradient(rows)) / total)
    logs = {
        "loss": Logged(loss + sums.penalty, total),
        "contrastive_accuracy": Logged(accuracy, total),
    }
    if labelled is not None:
        rows = tf.stop_gradient(tf.stack([sums.probe_loss, sums.probe_hits]))
        probe_loss, hits = tf.unstack(replicas.global_sum(rows))
        logs["probe_loss"] = Logged(probe_loss, labelled)
        logs["probe_accuracy"] = Logged(hits / tf.maximum(labelled, 1.0), labelled)
    return logs
