"""Finds layers of an encoder whose output changes when the batch is split across replicas."""

import contextlib
import threading

import keras
import numpy as np
import tensorflow as tf

from ..keras_versions import layers_of

# Given equal inputs, the outputs of a correct layer differ by float32 rounding only.
_TOLERANCE = 1e-3


def compare_layers(strategies, encoders, images: tf.Tensor) -> list[str]:
    """Compares the outputs and penalties of every layer on the same images, in training mode.

    A layer is at fault if its inputs agree between the strategies and its outputs do not.
    Layers are found by running them, so layers of nested and subclassed models are included.

    Args:
        strategies: One with a single replica, and one with several.
        encoders: The same network, with the same weights, built under each strategy.
        images: `(N, H, W, C)` in [0, 1], with N a multiple of both numbers of replicas.

    Returns:
        A sentence for each layer at fault.
    """
    one, several = (
        _run_layers(strategy, encoder, images)
        for strategy, encoder in zip(strategies, encoders)
    )
    findings = []
    # Matched by order of execution: the names that Keras generates differ between builds.
    for (layer, *ours), (_, *theirs) in zip(one, several):
        (inputs, outputs, penalty), (their_inputs, their_outputs, their_penalty) = ours, theirs
        if _agree(inputs, their_inputs) and not _agree(outputs, their_outputs):
            findings.append(_reason(layer))
        if abs(penalty - their_penalty) > _TOLERANCE * abs(penalty):
            findings.append(
                f"Layer {layer.name}: its penalty is {penalty:.6g} on one replica and "
                f"{their_penalty:.6g} on average over several, so it depends on how the batch is "
                "split. Make it a mean over images."
            )
    return list(dict.fromkeys(findings))  # a layer may be called twice


def _run_layers(strategy, encoder, images):
    """(layer, inputs, outputs, penalty) for every call of a layer, over the global batch."""
    layers = [
        layer
        for layer in layers_of(encoder)
        if not isinstance(layer, keras.layers.InputLayer) and layers_of(layer) == [layer]
    ]
    count = strategy.num_replicas_in_sync
    parts = iter(tf.split(images, count))
    parts = strategy.experimental_distribute_values_from_function(lambda _: next(parts))
    calls = threading.local()  # strategies run each replica in a thread, one at a time
    called = []

    @tf.function(autograph=False)
    def run(part):
        calls.made = []
        encoder(part, training=True)
        called[:] = [layer for layer, *_ in calls.made]
        return [
            (
                _rows(inputs, part.shape[0]),
                _rows(outputs, part.shape[0]),
                tf.add_n([0.0, *(tf.cast(x, tf.float32) for x in layer.losses)]),
            )
            for layer, inputs, outputs in calls.made
        ]

    with contextlib.ExitStack() as recorded:
        for layer in layers:
            recorded.enter_context(_recorded(layer, calls))
        results = strategy.run(run, args=(parts,))

    def whole(tensors):
        return [
            np.concatenate([x.numpy() for x in strategy.experimental_local_results(tensor)])
            for tensor in tensors
        ]

    return [
        (
            layer,
            whole(inputs),
            whole(outputs),
            float(np.mean(strategy.experimental_local_results(penalty))),
        )
        for layer, (inputs, outputs, penalty) in zip(called, results)
    ]


@contextlib.contextmanager
def _recorded(layer, calls: threading.local):
    """Context in which every call of a layer is recorded with its inputs and outputs."""
    original = layer.call

    def call(*arguments, **options):
        outputs = original(*arguments, **options)
        calls.made.append((layer, (arguments, options), outputs))
        return outputs

    vars(layer)["call"] = call
    try:
        yield
    finally:
        del vars(layer)["call"]  # restores the method of its class


def _rows(tensors, images: int) -> list[tf.Tensor]:
    """The floating-point tensors with one row per image."""
    return [
        tf.cast(x, tf.float32)
        for x in tf.nest.flatten(tensors)
        if tf.is_tensor(x)
        and x.dtype.is_floating
        and x.shape.rank
        and x.shape[0] in (images, None)
    ]


def _agree(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(
        # Not `>`: NaN must count as a difference.
        np.abs(a - b).max(initial=0.0) <= _TOLERANCE * np.abs(a).max(initial=1e-12)
        for a, b in zip(ours, theirs)
    )


def _reason(layer) -> str:
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
        why = "normalises each replica's images separately. Build it with synchronized=True"
    elif "Dropout" in kind or kind.startswith("Random"):
        why = "draws different random numbers on each replica, so no two runs are comparable"
    else:
        why = "gives different outputs for the same images when they are split across replicas"
    return f"Layer {layer.name} ({kind}) {why}."
