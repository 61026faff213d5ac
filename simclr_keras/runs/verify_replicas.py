"""`verify_replicas`: does this encoder train on N replicas as it does on one?"""

import dataclasses
import importlib
import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..keras_versions import lamb
from ..networks.encoders import build_encoder
from ..networks.projection_head import ProjectionHead
from ..networks.saved_encoder import load_encoder
from ..training.lars import LARS
from ..training.simclr import SimCLR
from ..views.augmenter import SimCLRAugmenter

OPTIMIZERS = {
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "lars": lambda rate: LARS(rate, weight_decay=1e-4),
    "lamb": lamb,
}
# Outputs of a layer that gets equal inputs differ by float32 rounding only, unless it is wrong.
_LAYER_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class ReplicaReport:
    """How far N replicas were from one.

    Attributes:
        replicas: N.
        steps: Steps that both trained.
        tolerance: Largest difference of a weight that passes.
        variables: (layer/variable, largest difference), the largest first.
        losses: (of one replica, of N), mean over the steps.
        findings: What breaks the equality, a sentence for each layer; empty when it holds.
    """

    replicas: int
    steps: int
    tolerance: float
    variables: list[tuple[str, float]]
    losses: tuple[float, float]
    findings: list[str]

    @property
    def passed(self) -> bool:
        """Whether every weight, and the loss, agrees."""
        difference = abs(self.losses[0] - self.losses[1])
        # Not `>`: a difference that is not a number has not passed.
        return self.variables[0][1] <= self.tolerance and difference <= 10 * self.tolerance


def encoder_builder(name: str, image_size: int, **options) -> Callable[[], keras.Model]:
    """A function that builds the encoder, to be called under each strategy.

    Args:
        name: A name of `build_encoder`, a `.keras` file, or `module:function` of your own.
        image_size: Side of the images in pixels; for names only.
        **options: Of `build_encoder`.

    Returns:
        The function.

    Raises:
        InputError: If the file or the function is not there.

    Example:
        >>> from simclr_keras.runs.verify_replicas import encoder_builder
        >>> encoder_builder("simclr_resnet18", 32, width_multiplier=0.125)().output_shape
        (None, 64)
    """
    if name.endswith(".keras"):
        if not os.path.exists(name):
            raise InputError(f"There is no file {name}. Name a model that Keras saved.")
        return lambda: load_encoder(name)
    if ":" in name and not name.startswith("keras_cv:"):
        module, _, function = name.partition(":")
        try:
            return getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"{name} cannot be imported ({error}). Write module:function, of a module on "
                "PYTHONPATH and a function without arguments that returns the encoder."
            ) from error
    return lambda: build_encoder(name, image_size, **options)


def verify_replicas(
    build: Callable[[], keras.Model],
    replicas: int = 2,
    image_size: int = 32,
    batch_size: int | None = None,
    steps: int = 5,
    optimizer: str = "sgd",
    learning_rate: float = 1e-3,
    l2: float = 0.0,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> ReplicaReport:
    """Trains an encoder on one and on N replicas with the same data and compares them.

    The replicas are logical CPU devices under `MirroredStrategy`, so no GPU is needed; the
    process must not have used TensorFlow before. The model is `SimCLR` with a projection head,
    a probe and random images. Where the two differ, the layers are compared one by one.

    Args:
        build: Builds the encoder; see `encoder_builder`.
        replicas: N >= 2.
        image_size: Side of the images, for encoders that take any size.
        batch_size: Images per step over all replicas. Defaults to 8 for each.
        steps: Steps to train.
        optimizer: `"sgd"`, `"lars"` or `"lamb"`. Adam-like steps such as LAMB's magnify the
            rounding noise that is the gradient of a bias ahead of batch norm.
        learning_rate: Its learning rate.
        l2: Adds this L2 penalty to every kernel. Defaults to none.
        tolerance: Largest difference of a weight that passes.
        seed: Decides weights and images.

    Returns:
        A `ReplicaReport`.

    Raises:
        InputError: If the settings cannot be used, or TensorFlow has already been used.
    """
    batch_size = batch_size or 8 * replicas
    if replicas < 2 or batch_size % replicas:
        raise InputError(
            "Compare at least 2 replicas, with a batch that is a multiple of their number. "
            f"Received: replicas={replicas}, batch_size={batch_size}"
        )
    if optimizer not in OPTIMIZERS:
        raise InputError(
            f"`optimizer` must be one of {tuple(OPTIMIZERS)}. Received: optimizer={optimizer!r}"
        )
    _make_devices(replicas)
    strategies = (
        tf.distribute.OneDeviceStrategy("CPU:0"),
        tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)]),
    )
    models, start = [], None
    for strategy in strategies:
        with strategy.scope():
            keras.utils.set_random_seed(seed)
            model = _model(build, image_size, seed, l2)
            model.compile(OPTIMIZERS[optimizer](learning_rate))
        start = start or _weights(model)
        _set_weights(model, start)
        models.append(model)
    images, labels = _data(models[0].encoder, image_size, batch_size, steps, seed)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    logs = [
        model.fit(
            data.batch(batch_size, drop_remainder=True), verbose=0, shuffle=False
        ).history["loss"][0]
        for model in models
    ]
    trained = [_weights(model) for model in models]
    differences = [float(np.abs(a - b).max(initial=0.0)) for a, b in zip(*trained)]
    report = ReplicaReport(
        replicas,
        steps,
        tolerance,
        # What is not a number is the largest difference of all.
        sorted(
            zip(_names(models[0]), differences),
            key=lambda item: -np.nan_to_num(item[1], nan=np.inf),
        ),
        tuple(logs),
        [],
    )
    if report.passed:
        return report
    for model in models:
        _set_weights(model, start)
    findings = _findings(strategies, models, images[:batch_size])
    return dataclasses.replace(report, findings=findings)


def _make_devices(count: int) -> None:
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * count,
        )
    except RuntimeError as error:
        raise InputError(
            f"The logical devices must be made before TensorFlow is used ({error}). Call it in "
            "a process of its own: simclr-keras verify-replicas does."
        ) from error


def _model(build, image_size: int, seed: int, l2: float) -> SimCLR:
    encoder = build()
    if l2:
        encoder = with_l2_penalty(encoder, l2)
    return SimCLR(
        encoder,
        ProjectionHead(32),
        SimCLRAugmenter(_side(encoder, image_size)),
        temperature=0.5,
        probe=keras.layers.Dense(4),
        seed=seed,
    )


def with_l2_penalty(encoder: keras.Model, l2: float) -> keras.Model:
    """A functional encoder with other weights and this L2 penalty on every kernel."""

    def clone(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = layer.synchronized  # Keras 2.15 leaves it out
        for name in ("kernel_regularizer", "depthwise_regularizer"):
            if name in config:
                config[name] = keras.regularizers.serialize(keras.regularizers.L2(l2))
        return layer.__class__.from_config(config)

    return keras.models.clone_model(encoder, clone_function=clone)


def _side(encoder, image_size: int) -> int:
    return encoder.input_shape[1] or image_size


def _data(encoder, image_size, batch_size, steps, seed):
    draw = np.random.default_rng(seed)
    side, channels = _side(encoder, image_size), encoder.input_shape[-1]
    count = batch_size * steps
    coarse = draw.uniform(0, 255, (count, 5, 5, channels))  # blobs: noise has no views
    images = tf.image.resize(coarse, (side, side), "bicubic")
    images = tf.cast(tf.clip_by_value(images, 0, 255), tf.uint8).numpy()
    return images, draw.integers(-1, 4, count)


def _networks(model):
    return {"encoder": model.encoder, "head": model.projection_head, "probe": model.probe}


def _weights(model) -> list[np.ndarray]:
    return [w for network in _networks(model).values() for w in network.get_weights()]


def _set_weights(model, weights) -> None:
    weights = list(weights)
    for network in _networks(model).values():
        count = len(network.weights)
        network.set_weights(weights[:count])
        weights = weights[count:]


def _names(model) -> list[str]:
    return [
        f"{name}: {getattr(variable, 'path', variable.name)}"
        for name, network in _networks(model).items()
        for variable in network.weights
    ]


def _findings(strategies, models, images) -> list[str]:
    """Compares what every layer makes of the same images, and its penalties, in training."""
    encoders = [model.encoder for model in models]
    try:
        layers = _layers(encoders[0])
        for layer in layers:
            layer.output  # noqa: B018 - raises where there is none
    except (AttributeError, RuntimeError, ValueError):
        return [
            "The encoder is not a functional model, so its layers cannot be compared one by "
            "one: look at its normalisation (synchronized=True) and its penalties."
        ]
    images = tf.cast(images, tf.float32) / 255.0
    made = [
        _layer_results(strategy, encoder, images)
        for strategy, encoder in zip(strategies, encoders)
    ]
    findings, differs = [], set()
    for layer, *results in zip(layers, *made):
        outputs, penalties = zip(*results)
        scale = np.abs(outputs[0]).max(initial=1e-12)
        if not np.abs(outputs[0] - outputs[1]).max(initial=0.0) <= _LAYER_TOLERANCE * scale:
            differs.add(layer.name)
            if not differs & _inputs_of(layer):
                findings.append(_reason(layer))
        if abs(penalties[0] - penalties[1]) > _LAYER_TOLERANCE * abs(penalties[0]):
            findings.append(
                f"Layer {layer.name}: its penalty is {penalties[0]:.6g} on one replica and "
                f"{penalties[1]:.6g} in the mean of several: it depends on how the batch is "
                "divided. Make it a mean over images."
            )
    if not findings:
        findings.append(
            "No layer of the encoder differs on its own: the difference is in the gradients. "
            "Try a lower --learning-rate; look for custom gradients."
        )
    return findings


def _layers(encoder) -> list:
    """By position: names that Keras makes up differ from one build to the next."""
    return [layer for layer in encoder.layers if not isinstance(layer, keras.layers.InputLayer)]


def _layer_results(strategy, encoder, images):
    """(output for the global batch, penalty) of every layer, in training mode."""
    layers = _layers(encoder)
    with strategy.scope():
        taps = keras.Model(encoder.inputs, [layer.output for layer in layers])
    count = strategy.num_replicas_in_sync
    parts = iter(tf.split(images, count))
    parts = strategy.experimental_distribute_values_from_function(lambda _: next(parts))

    @tf.function
    def run(part):
        outputs = taps(part, training=True)
        penalties = [
            tf.add_n([0.0, *(tf.cast(x, tf.float32) for x in layer.losses)]) for layer in layers
        ]
        return [tf.cast(output, tf.float32) for output in outputs], penalties

    outputs, penalties = strategy.run(run, args=(parts,))

    def local(value):
        return [part.numpy() for part in strategy.experimental_local_results(value)]

    return [
        (np.concatenate(local(output)), float(np.mean(local(penalty))))
        for output, penalty in zip(outputs, penalties)
    ]


def _inputs_of(layer) -> set[str]:
    """Names of the layers whose outputs a layer takes."""
    tensors = tf.nest.flatten(layer.input)
    return {
        history.operation.name if hasattr(history, "operation") else history.layer.name
        for history in (tensor._keras_history for tensor in tensors)
    }


def _reason(layer) -> str:
    kind = type(layer).__name__
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized:
        why = "normalises each replica's part by itself. Build it with synchronized=True"
    elif "Dropout" in kind or kind.startswith("Random"):
        why = "draws other numbers on each replica, so that no two runs are comparable"
    else:
        why = "makes something else of the same images when they are divided over replicas"
    return f"Layer {layer.name} ({kind}) {why}."
