"""The gradient of a large batch from micro-batches: two passes, loss over all projections.

This replica's n images form M micro-batches of m images. As in GradCache (Gao et al. 2021,
https://arxiv.org/abs/2101.06983), the loss L depends on the network only through the VN
projections z, so dL/dw = sum over micro-batches of (dL/dz) dz/dw. The first pass computes all z
and keeps no activations. dL/dz is then computed for the whole batch. The second pass recomputes
each micro-batch's z, now with activations, and backpropagates dL/dz through them.
"""

import tensorflow as tf

from ..keras_versions import layers_of, random_states, scaled, tensorflow_variables
from ..objective import replicas
from .step import (
    Logged,
    Sums,
    contrast_pairs,
    forward,
    global_logs,
    labelled_views,
    number_of_views,
    penalty_of,
    probe_share,
)

# Random ops whose state is internal, so that it cannot be restored.
_UNREPEATABLE = {
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "RandomGamma",
    "RandomPoissonV2",
    "RandomShuffle",
    "RandomStandardNormal",
    "RandomUniform",
    "RandomUniformInt",
    "SampleDistortedBoundingBoxV2",
    "TruncatedNormal",
}


def micro_batch_gradients(model, images, labels) -> tuple[list, dict[str, Logged]]:
    """Gradients and logs of one training step of a `SimCLR`, a micro-batch at a time.

    Args:
        model: A compiled `SimCLR` with `micro_batch_size`.
        images: This replica's images.
        labels: Integers `(n,)`, -1 for none; or `None`.

    Returns:
        What `whole_batch_gradients` returns for the whole batch.

    Raises:
        ValueError: If the micro-batch does not divide evenly over the replicas, the batch size
            must be known and is not, or the second pass would not repeat the random numbers of
            the first.
    """
    count = replicas.check_even(tf.shape(images)[0])  # n
    size = _local_size(model)  # m
    unroll = _must_unroll(model)
    number = _number(images, size, unroll)  # M
    total = tf.cast(count * replicas.number_of_replicas(), tf.float32)  # N
    variables = model.trainable_variables
    image_blocks, label_blocks = (
        None if rows is None else _blocks(rows, number, size) for rows in (images, labels)
    )
    width, views = _projection_dim(model), number_of_views(model)  # K, V

    def forward_of(index):
        first = tf.cast(replicas.replica_id() * count + index * size, tf.int64)
        return forward(model, image_blocks[index], first, model.step, training=True)

    averages, seeds = _states(model)
    before = [tf.identity(state) for state in averages]
    seeds_before = [tf.identity(state) for state in seeds]

    def restore():
        for state, value in zip(averages, before):
            state.assign(value)

    def project(index, projections):
        _, z = forward_of(index)
        restore()
        return (_set_row(projections, index, tf.cast(z, tf.float32)),)

    buffer = tf.zeros(tf.stack([number, views * size, width]))
    (projections,) = _for_each(number, project, (buffer,), unroll)
    _check_draws()
    by_view = [_rows(z) for z in tf.split(projections, views, axis=1)]  # (n, K) each
    with tf.GradientTape() as tape:
        tape.watch(by_view)
        pairs = contrast_pairs(model.contrastive_loss, model.temperature, by_view)
        loss = tf.reduce_sum(pairs.losses) / total
    towards = tape.gradient(loss, by_view, unconnected_gradients="zero")
    towards = tf.concat([_blocks(z, number, size) for z in towards], axis=1)
    # Dropout and similar layers repeat their draws from the restored seeds.
    for state, value in zip(seeds, seeds_before):
        state.assign(value)
    labelled = None if model.probe is None else labelled_views(labels, views)
    parts = tf.cast(number, tf.float32)

    def send_back(index, gradients, moved, *sums):
        sums = Sums(*sums)
        with tf.GradientTape() as tape:
            features, z = forward_of(index)
            _check_repeated(z, projections[index])
            share_of_penalty = penalty_of(model) / parts
            to_minimise = tf.reduce_sum(tf.cast(z, tf.float32) * towards[index])
            to_minimise += share_of_penalty / replicas.number_of_replicas()
            sums = sums._replace(penalty=sums.penalty + share_of_penalty)
            if model.probe is not None:
                share, hits = probe_share(
                    model.probe, features, label_blocks[index], labelled, training=True
                )
                to_minimise += share
                sums = sums._replace(
                    probe_loss=sums.probe_loss + share, probe_hits=sums.probe_hits + hits
                )
            to_minimise = scaled(model.optimizer, to_minimise)
        new = tape.gradient(to_minimise, variables, unconnected_gradients="zero")
        gradients = [a + tf.convert_to_tensor(b) for a, b in zip(gradients, new)]
        # Each micro-batch updates the moving averages from the same start. The mean of the
        # results is one update with the mean of the statistics.
        moved = [a + state / parts for a, state in zip(moved, averages)]
        with tf.control_dependencies(moved):
            restore()
        return gradients, moved, *sums

    zeros, none = ([tf.zeros(v.shape, v.dtype) for v in kind] for kind in (variables, averages))
    carry = (zeros, none, tf.constant(0.0), tf.constant(0.0), tf.constant(0.0))
    gradients, moved, *sums = _for_each(number, send_back, carry, unroll)
    for state, value in zip(averages, moved):
        state.assign(value)
    return gradients, global_logs(pairs, total, Sums(*sums), labelled)


def _local_size(model) -> int:
    count = replicas.number_of_replicas()
    if model.micro_batch_size % count:
        raise ValueError(
            "`micro_batch_size` counts the images of all replicas and must be a multiple of the "
            f"number of replicas. Received: micro_batch_size={model.micro_batch_size} with {count} "
            "replicas"
        )
    return model.micro_batch_size // count


def _must_unroll(model) -> bool:
    """Whether the loops must be unrolled: most strategies cannot communicate inside a loop."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1 or isinstance(strategy, tf.distribute.TPUStrategy):
        return False
    averages, _ = _states(model)
    return bool(averages)


def _number(images, size: int, unroll: bool):
    """Returns M; raises if the batch is not a multiple of the micro-batch."""
    known = images.shape[0]
    message = (
        f"The batch on a replica must be a multiple of its micro-batch of {size} images; "
        "drop_remainder=True drops a smaller last batch."
    )
    if known is not None:
        if known % size:
            raise ValueError(f"{message} Received: images.shape={images.shape}")
        return known // size
    if unroll:
        raise ValueError(
            "Micro-batches with batch norm over several replicas need a known batch size. Use "
            "batch(..., drop_remainder=True), or group norm. Received: images.shape="
            f"{images.shape}"
        )
    rows = tf.shape(images)[0]
    checked = tf.debugging.assert_equal(rows % size, 0, message=message)
    with tf.control_dependencies([checked] if checked is not None else []):  # None when eager
        return tf.identity(rows // size)


def _check_draws() -> None:
    """Raises a `ValueError` if traced ops draw random numbers that cannot be repeated."""
    if tf.executing_eagerly():
        return  # `_check_repeated` compares the projections instead
    graph = tf.compat.v1.get_default_graph().as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    found = sorted({node.op for node in nodes} & _UNREPEATABLE)
    if found:
        raise ValueError(f"{_OTHER_DRAWS} Received: layers that use {', '.join(found)}")


def _check_repeated(again, first) -> None:
    """The same check for an eager step, by comparing the projections of both passes."""
    if not tf.executing_eagerly():
        return
    again, first = tf.cast(tf.stop_gradient(again), tf.float32), tf.stop_gradient(first)
    difference, size = float(tf.norm(again - first)), float(tf.norm(first))
    if difference > 0.01 * size:
        raise ValueError(
            f"{_OTHER_DRAWS} Received: projections of norm {size:.3g} that differ by "
            f"{difference:.3g}"
        )


_OTHER_DRAWS = (
    "`micro_batch_size` needs two identical forward passes, but a layer of the augmenter, the "
    "encoder or the projection head draws random numbers that cannot be repeated. Use layers "
    "with a seed generator of their own, such as keras.layers.RandomBrightness, or leave out "
    "micro_batch_size."
)


def _for_each(number, body, carry, unroll: bool):
    """Computes carry = body(index, *carry) for each index, one at a time."""
    if not unroll:
        result = tf.while_loop(
            lambda index, *_: index < number,
            lambda index, *carry: (index + 1, *body(index, *carry)),
            (tf.constant(0), *carry),
            parallel_iterations=1,
        )
        return result[1:]
    for index in range(number):
        # Otherwise TensorFlow would run micro-batches in parallel, which saves no memory.
        with tf.control_dependencies([x for x in tf.nest.flatten(carry) if tf.is_tensor(x)]):
            index = tf.constant(index)
        carry = body(index, *carry)
    return carry


def _states(model) -> tuple[list[tf.Variable], list[tf.Variable]]:
    """What a training call of the networks changes: moving averages and random seeds."""
    networks = [model.augmenter, model.encoder, model.projection_head, model.probe]
    networks = [network for network in networks if network is not None]
    layers = [layer for network in networks for layer in layers_of(network)]
    # A model lists the weights of its frozen layers among its own non-trainable ones.
    frozen = {
        id(v) for x in layers if not x.trainable for v in tensorflow_variables(x.variables)
    }
    states = {id(v): v for x in layers for v in tensorflow_variables(x.non_trainable_variables)}
    states.update({id(v): v for network in networks for v in random_states(network)})
    thawed = [state for key, state in states.items() if key not in frozen]
    averages = [state for state in thawed if state.dtype.is_floating]
    return averages, [state for state in thawed if not state.dtype.is_floating]


def _blocks(rows, number, size: int):
    """`(n, ...)` -> `(M, m, ...)`."""
    shape = tf.concat([[number, size], tf.shape(rows)[1:]], axis=0)
    return tf.ensure_shape(tf.reshape(rows, shape), [None, size, *rows.shape[1:]])


def _rows(blocks):
    """`(M, m, K)` -> `(n, K)`."""
    return tf.reshape(blocks, [-1, blocks.shape[-1]])


def _set_row(blocks, index, value):
    return tf.tensor_scatter_nd_update(blocks, [[index]], value[None])


def _projection_dim(model) -> int:
    """K of any projection head, found by tracing: not every layer knows its output shape."""
    features = tf.TensorSpec(model.encoder.output_shape, tf.float32)
    project = tf.function(lambda x: model.projection_head(x, training=False), autograph=False)
    return project.get_concrete_function(features).structured_outputs.shape[-1]
