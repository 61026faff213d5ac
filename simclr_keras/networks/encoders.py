"""`build_encoder`: keras.applications and the SimCLR ResNets behind one function."""

import difflib
import inspect
import types

import keras

from ..errors import InputError
from ..keras_versions import BatchNormalization
from .resnet import RESNET_DEPTHS, simclr_resnet

_RESNET_PREFIX = "simclr_resnet"


@keras.saving.register_keras_serializable(package="simclr_keras")
class ApplicationsInput(keras.layers.Layer):
    """Turns images in [0, 1] into what one module of keras.applications was trained on.

    Args:
        module: Module name, such as `"resnet50"`: its `preprocess_input` is applied to the
            images in 0-255.

    Call arguments:
        images: floating `(N, H, W, 3)` in [0, 1].

    Returns:
        `(N, H, W, 3)` in the range (and channel order) of that module.
    """

    def __init__(self, module: str, **kwargs):
        super().__init__(**kwargs)
        self.module = module

    def call(self, images):
        return getattr(keras.applications, self.module).preprocess_input(images * 255.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "module": self.module}


def build_encoder(
    name: str,
    image_size: int,
    channels: int = 3,
    weights: str | None = None,
    width_multiplier: float = 1.0,
    small_image_stem: bool = False,
) -> keras.Model:
    """Builds the network f(.) whose pooled output is kept after pretraining.

    keras.applications models are taken as they are, with what contrastive pretraining needs
    changed: batch normalisation is synchronised over replicas and has momentum 0.9 instead of
    0.99, and the input range is [0, 1] whatever the architecture wants. The SimCLR ResNets
    follow the original release (see `simclr_keras.networks.resnet`).

    Args:
        name: An image model of keras.applications by its function name in lower case
            (`"resnet50"`, `"efficientnetb0"`), or `"simclr_resnet18"`, 34, 50, 101, 152, 200.
        image_size: Side of the images in pixels. The SimCLR ResNets take any other size too.
        channels: Image channels C.
        weights: `None` for random weights, `"imagenet"` (keras.applications, downloads) or
            the path of a weights file.
        width_multiplier: Factor on the filters; SimCLR ResNets only.
        small_image_stem: Stem for images of about 32 pixels; SimCLR ResNets only.

    Returns:
        A `keras.Model`: `(N, image_size, image_size, channels)` floating in [0, 1] to
        features `(N, D)`.

    Raises:
        InputError: If the name is unknown, the model cannot take this size, or an option
            belongs to the other family.

    Example:
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", image_size=32, width_multiplier=0.25, small_image_stem=True
        ... )
        >>> encoder.output_shape
        (None, 128)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.1: f(.) is a ResNet-50.
    """
    name = name.lower()
    if name.startswith(_RESNET_PREFIX):
        depth = name.removeprefix(_RESNET_PREFIX)
        if not depth.isdigit() or int(depth) not in RESNET_DEPTHS:
            raise InputError(_unknown(name))
        if weights == "imagenet":
            raise InputError(
                f"`weights='imagenet'` exists for keras.applications only. Received: name={name}"
            )
        encoder = simclr_resnet(int(depth), channels, width_multiplier, small_image_stem, name)
        if weights:
            encoder.load_weights(weights)
        return encoder
    applications = _applications()
    if name not in applications:
        raise InputError(_unknown(name))
    if width_multiplier != 1.0 or small_image_stem:
        raise InputError(
            "`width_multiplier` and `small_image_stem` change the SimCLR ResNets only. "
            f"Received: name={name}; use simclr_resnet50 for ResNet-50 with either."
        )
    return _from_applications(name, *applications[name], image_size, channels, weights)


def _from_applications(name, module, function, image_size, channels, weights):
    try:
        backbone = function(
            include_top=False,
            weights=weights,
            input_shape=(image_size, image_size, channels),
            pooling="avg",
        )
    except ValueError as error:
        raise InputError(
            f"keras.applications cannot build {name} for {image_size} x {image_size} x "
            f"{channels} images: {' '.join(str(error).split())}"
        ) from error
    encoder = keras.models.clone_model(backbone, clone_function=_for_contrastive_pretraining)
    encoder.set_weights(backbone.get_weights())
    images = keras.Input((image_size, image_size, channels), name="images")
    if channels == 3:
        x = ApplicationsInput(module, name="preprocess")(images)
    else:  # there are no published channel means to subtract: [-1, 1]
        x = keras.layers.Rescaling(2.0, -1.0, name="preprocess")(images)
    return keras.Model(images, encoder(x), name=name)


def _for_contrastive_pretraining(layer):
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        # 0.99 needs some 500 steps to forget the initial statistics; the release has 0.9.
        return BatchNormalization.from_config({**config, "synchronized": True, "momentum": 0.9})
    return layer.__class__.from_config(config)


def _applications() -> dict:
    """Lower-case function name -> (module name, function), as this Keras has them."""
    found = {}
    for module_name, module in vars(keras.applications).items():
        if isinstance(module, types.ModuleType) and hasattr(module, "preprocess_input"):
            for function_name, function in vars(module).items():
                if callable(function) and "include_top" in _parameters(function):
                    found.setdefault(function_name.lower(), (module_name, function))
    return found


def _parameters(function) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _unknown(name: str) -> str:
    known = [*(f"{_RESNET_PREFIX}{depth}" for depth in RESNET_DEPTHS), *sorted(_applications())]
    close = difflib.get_close_matches(name, known, n=3) or known[:6]
    return (
        f"There is no encoder named {name!r}. Closest: {', '.join(close)}. All image models of "
        "keras.applications and simclr_resnet18 to simclr_resnet200 are possible."
    )
