"""`verify_replicas`: does this encoder train the same on N replicas as on one?"""

import dataclasses
import os
import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ..errors import InputError
from ..keras_versions import clone_with, optimizer_variables
from ..networks.encoders import build_encoder
from ..networks.own_function import function_of, is_function
from ..networks.projection_head import ProjectionHead
from ..networks.saved_encoder import is_encoder_file, load_encoder
from ..progress import progress_shown
from ..result import Result
from ..seeds import generator, seed_of_32_bits
from ..views.augmenter import SimCLRAugmenter
from .compare_layers import compare_layers
from .optimizers import make_optimizer
from .simclr import SimCLR
from .verify_config import VerifyConfig

WEIGHT_DECAYS = {"sgd": 0.0, "lars": 1e-4, "lamb": 0.0}
# Tried in this order until the effect of rounding is small enough.
_LEARNING_RATES = (1e-3, 1e-4, 1e-6, 1e-8)
_ROUNDING = 2.0**-23  # relative, of float32
# Runs that differ by rounding alone may be this many times as far apart as other such runs.
_MARGIN = 8
_MORE_RUNS = 2


@dataclasses.dataclass(frozen=True)
class ReplicaReport(Result):
    """How much training on N replicas differed from training on one.

    Attributes:
        replicas: N.
        steps: Steps that both trained.
        learning_rate: Learning rate of both.
        tolerance: Largest difference of a weight that passes, relative to the largest weight of
            its variable where that is above 1.
        rounding: Largest difference between runs on one replica whose initial weights differ by
            a rounding error.
        moved: Largest change of a trainable weight during training.
        variables: (layer/variable, largest difference), the largest first.
        losses: (on one replica, on N), mean over the steps.
        findings: What breaks the equality, a sentence for each layer; empty when it holds.
    """

    replicas: int
    steps: int
    learning_rate: float
    tolerance: float
    rounding: float
    moved: float
    variables: list[tuple[str, float]]
    losses: tuple[float, float]
    findings: list[str]

    @property
    def passed(self) -> bool:
        """Whether all weights and the loss agree and no layer is at fault."""
        # Not `>`: a NaN difference must not pass.
        limit = max(self.tolerance, _MARGIN * self.rounding)
        within = abs(self.losses[0] - self.losses[1]) <= 10 * limit
        return within and self.variables[0][1] <= limit and not self.findings

    @property
    def is_blurred(self) -> bool:
        """Whether rounding alone may cause differences above the tolerance."""
        return _MARGIN * self.rounding > self.tolerance

    def to_dict(self) -> dict[str, typing.Any]:
        return {"passed": self.passed, **super().to_dict()}


def encoder_builder(name: str, image_size: int, **options) -> Callable[[], keras.Model]:
    """A function that builds the encoder, to be called under each strategy.

    Args:
        name: A name for `build_encoder`, a `.keras` file, or `module:function` of your own.
        image_size: Height and width of the images in pixels; used only for names.
        **options: Other arguments of `build_encoder`.

    Returns:
        The function.

    Raises:
        InputError: If the file or the function does not exist.
    """
    if is_encoder_file(name):
        if not os.path.exists(name):
            raise InputError(
                f"There is no file {name}. Give the path of a model saved by Keras."
            )
        return lambda: load_encoder(name)
    if is_function(name):
        function = function_of(name)
        return lambda: function(image_size=image_size, channels=3)
    return lambda: build_encoder(name, image_size, log_changes=False, **options)


@progress_shown()
def verify_replicas(config: VerifyConfig) -> ReplicaReport:
    """Trains an encoder on one and on N replicas with the same data and compares the results.

    The replicas are logical CPU devices under `MirroredStrategy`, so no GPU is needed; the
    process must not have used TensorFlow before. The model is a `SimCLR` with a projection head
    and a probe, trained on random images. If the results differ, the layers are compared one by
    one.

    Float32 rounds sums over 8 and over 16 images differently, and untrained networks can
    magnify this: the gradient of keras.applications' ResNet-50 changes by several per cent when
    its weights change by a rounding error. So one replica is also trained from weights that
    differ by a rounding error. The default learning rate is the first of 1e-3, 1e-4, 1e-6 and
    1e-8 at which these two runs differ by at most an eighth of the tolerance. If there is
    none, N replicas pass if no layer is at fault and they differ from one replica by at most
    eight times the effect of rounding.

    Args:
        config: The settings.

    Returns:
        A `ReplicaReport`.

    Raises:
        InputError: If the encoder does not exist, or TensorFlow has already been used.

    Example:
        >>> import simclr_keras as sk
        >>> config = sk.VerifyConfig(width_multiplier=0.25, image_size=16)
        >>> sk.verify_replicas(config).passed  # doctest: +SKIP
        True

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.2: batch norm over all
        devices.
    """
    replicas, image_size, steps = config.replicas, config.image_size, config.steps
    batch_size, seed = config.batch_size or 8 * replicas, config.seed
    build = encoder_builder(
        config.encoder,
        image_size,
        width_multiplier=config.width_multiplier,
        small_image_stem=config.small_image_stem,
    )
    _make_devices(replicas)
    strategies = (
        tf.distribute.OneDeviceStrategy("CPU:0"),
        tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(replicas)]),
    )
    models = []
    for strategy in strategies:
        with strategy.scope():
            keras.utils.set_random_seed(seed_of_32_bits(seed))
            model = _model(build, image_size, seed, config.l2)
            decay = WEIGHT_DECAYS[config.optimizer]
            model.compile(
                make_optimizer(
                    config.optimizer, _LEARNING_RATES[0], decay, model.trainable_variables
                )
            )
        models.append(_Trainable(model))
    one, several = models
    start = one.weights()
    images, labels = _data(one.model.encoder, image_size, batch_size, steps, seed)
    data = tf.data.Dataset.from_tensor_slices((images, labels))
    data = data.batch(batch_size, drop_remainder=True)
    draw = generator(seed)

    def rounding_apart() -> float:
        """The largest difference from a run with initial weights a rounding error away."""
        nearby = [w * (1 + _ROUNDING * draw.standard_normal(w.shape)) for w in start]
        nearby = [near.astype(w.dtype) for near, w in zip(nearby, start)]
        return max(_differences(trained, one.train(data, nearby, rate)[0]))

    for rate in [config.learning_rate] if config.learning_rate else _LEARNING_RATES:
        trained, loss = one.train(data, start, rate)
        rounding = rounding_apart()
        if _MARGIN * rounding <= config.tolerance:
            break
    else:  # rounding decides, and one such run says little about how large its effect can be
        rounding = max(rounding, *(rounding_apart() for _ in range(_MORE_RUNS)))
    others, other_loss = several.train(data, start, rate)
    report = ReplicaReport(
        replicas,
        steps,
        rate,
        config.tolerance,
        rounding,
        one.moved(start, trained),
        sorted(
            zip(_names(one.model), _differences(trained, others)),
            key=lambda item: -np.nan_to_num(item[1], nan=np.inf),
        ),
        (loss, other_loss),
        [],
    )
    if report.passed and not report.is_blurred:
        return report
    for trainable in models:
        trainable.set_weights(start)
    images = tf.cast(images[:batch_size], tf.float32) / 255.0
    findings = compare_layers(strategies, [model.model.encoder for model in models], images)
    if not report.passed and not findings:
        findings = [
            "No layer of the encoder differs on its own: the difference is in the gradients. "
            "Try a lower `learning_rate`; look for custom gradients."
        ]
    return dataclasses.replace(report, findings=findings)


class _Trainable:
    """A compiled `SimCLR` that can be trained repeatedly from the same state."""

    def __init__(self, model: SimCLR):
        self.model = model
        networks = (model.encoder, model.projection_head, model.probe)
        self._networks = [network for network in networks if network is not None]
        state = (*optimizer_variables(model.optimizer), model.step)
        self._before = [(v, v.read_value().numpy()) for v in state]

    def train(self, data, weights, learning_rate: float) -> tuple[list[np.ndarray], float]:
        """The weights after one pass over the data, and its mean loss."""
        for variable, value in self._before:
            variable.assign(value)
        self.model.optimizer.learning_rate = learning_rate
        self.set_weights(weights)
        history = self.model.fit(data, verbose=0, shuffle=False).history
        return self.weights(), history["loss"][0]

    def weights(self) -> list[np.ndarray]:
        return [w for network in self._networks for w in network.get_weights()]

    def moved(self, before, after) -> float:
        """The largest change of a trainable weight."""
        trained = {id(v) for v in self.model.trainable_variables}
        variables = [v for network in self._networks for v in network.weights]
        return max(
            float(np.abs(a - b).max(initial=0.0))
            for v, a, b in zip(variables, before, after)
            if id(v) in trained
        )

    def set_weights(self, weights) -> None:
        weights = list(weights)
        for network in self._networks:
            count = len(network.weights)
            network.set_weights(weights[:count])
            weights = weights[count:]


def _differences(ours, theirs) -> list[float]:
    """The largest difference of each variable, relative to its largest weight if above 1."""
    # With pixels in 0-255, moving statistics are in the thousands.
    return [
        float(np.abs(a - b).max(initial=0.0) / np.abs(a).max(initial=1.0))
        for a, b in zip(ours, theirs)
    ]


def _make_devices(count: int) -> None:
    try:
        tf.config.set_visible_devices([], "GPU")
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * count,
        )
    except RuntimeError as error:
        raise InputError(
            f"The logical devices must be created before TensorFlow is used ({error}). Call "
            "verify_replicas in a process of its own, as simclr-keras verify-replicas does."
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
    """A copy of a functional encoder, with new weights and this L2 penalty on every kernel."""

    def replace(layer):
        config = layer.get_config()
        names = {"kernel_regularizer", "depthwise_regularizer"} & config.keys()
        if not names:
            return None
        penalty = keras.regularizers.serialize(keras.regularizers.L2(l2))
        return layer.__class__.from_config({**config, **dict.fromkeys(names, penalty)})

    return clone_with(encoder, replace)


def _side(encoder, image_size: int) -> int:
    return encoder.input_shape[1] or image_size


def _data(encoder, image_size, batch_size, steps, seed):
    draw = generator(seed)
    side, channels = _side(encoder, image_size), encoder.input_shape[-1]
    count = batch_size * steps
    # Blobs, because two crops of noise have nothing in common.
    coarse = draw.uniform(0, 255, (count, 5, 5, channels))
    images = tf.image.resize(coarse, (side, side), "bicubic")
    images = tf.cast(tf.clip_by_value(images, 0, 255), tf.uint8).numpy()
    return images, draw.integers(-1, 4, count)


def _names(model) -> list[str]:
    networks = {"encoder": model.encoder, "head": model.projection_head, "probe": model.probe}
    return [
        f"{name}: {getattr(variable, 'path', variable.name)}"
        for name, network in networks.items()
        for variable in network.weights
    ]
