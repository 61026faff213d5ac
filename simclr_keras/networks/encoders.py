"""`build_encoder`: every network that can be pretrained, behind one function."""

import inspect
import logging
import types

import keras

from ..errors import InputError, closest
from .adapter import PreparedEncoder, is_backbone, one_line, prepare_encoder
from .airbench import AIRBENCH, airbench
from .applications_input import applications_input
from .encoder import as_encoder
from .own_function import function_of, is_function
from .presets import KERAS_CV, KERAS_HUB, keras_cv_backbone, keras_hub_backbone
from .resnet import RESNET_DEPTHS, SELECTIVE_KERNEL_RATIO, simclr_resnet
from .saved_encoder import is_encoder_file, load_encoder
from .weights_file import load_weights

_LOGGER = logging.getLogger("simclr_keras")
_RESNET_PREFIX = "simclr_resnet"
_MOMENTUM = 0.9  # of batch norm, as in the release


def build_encoder(
    name: str | keras.Model,
    image_size: int,
    channels: int = 3,
    weights: str | None = None,
    width_multiplier: float = 1.0,
    small_image_stem: bool = False,
    selective_kernel: bool = False,
    log_changes: bool = True,
) -> keras.Model:
    """Builds the network f(.) whose pooled output is kept after pretraining.

    The SimCLR ResNets are those of the original release, layer for layer. Networks of
    keras.applications and KerasCV keep their architecture and change only what contrastive
    pretraining needs: batch normalisation is synchronised over replicas and has momentum 0.9,
    and the input range is [0, 1] for every architecture. The log says what was changed and
    what still differs from the release (see `prepare_encoder`).

    Args:
        name: `"simclr_resnet18"`, 34, 50, 101, 152 or 200; `"airbench"`, a small network for small
            images; an image model of keras.applications by its function name in lower case (`"resnet50"`,
            `"efficientnetb0"`); `"keras_cv:<preset>"` or `"keras_hub:<preset>"` (needs the extra
            `keras-hub`), which download the preset; `"module:function"`, a function that returns a
            model and is imported from the current folder or an installed package; the path of a
            `.keras` file, whose network keeps its weights; or any `keras.Model` that returns
            `(N, D)`, and any backbone of KerasCV or KerasHub. Batch norms are synchronised, and
            strided 1x1 convolutions replaced by equal ones with right gradients on CPUs.
        image_size: Height and width of the images in pixels. The SimCLR ResNets also accept
            any other size.
        channels: Image channels C.
        weights: `None` for random weights (a KerasCV preset brings its own, and so does a file),
            `"imagenet"` (keras.applications only, downloaded) or the path of a weights file.
        width_multiplier: Factor on the number of filters; SimCLR ResNets and airbench only.
        small_image_stem: Stem for images of about 32 pixels; SimCLR ResNets only.
        selective_kernel: Selective kernels with the stem and the shortcuts of ResNet-D, as in
            SimCLR v2; SimCLR ResNets only. As in the release, depths 18 and 34 get only the
            stem and the shortcuts.
        log_changes: Whether to log what was changed and what still differs.

    Returns:
        A `keras.Model`: `(N, image_size, image_size, channels)` in [0, 1] to features `(N, D)`.
        It divides uint8 images by 255, and when called or in `predict` refuses floating-point
        images outside [0, 1].

    Raises:
        InputError: If the name is unknown, the model cannot take images of this shape or does
            not return `(N, D)`, the weights do not fit, or an option is only for SimCLR
            ResNets.
        RunFailure: If a preset cannot be downloaded, or KerasHub is not installed.

    Example:
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", image_size=32, width_multiplier=0.25, small_image_stem=True
        ... )
        >>> encoder.output_shape
        (None, 128)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.1: f(.) is a ResNet-50;
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 3.1: deeper, wider, with
        selective kernels.
    """
    if isinstance(name, str) and is_encoder_file(name):
        label, name = name, load_encoder(name)
    elif isinstance(name, str) and is_function(name):
        label, name = name, function_of(name)(image_size=image_size, channels=channels)
    else:
        label = name.lower() if isinstance(name, str) else name.name
    if label == AIRBENCH and isinstance(name, str):
        return _airbench(
            channels, weights, width_multiplier, small_image_stem, selective_kernel
        )
    is_resnet = isinstance(name, str) and label.startswith(_RESNET_PREFIX)
    is_preset = isinstance(name, str) and label.startswith((KERAS_CV, KERAS_HUB))
    if isinstance(name, str) and not is_resnet and not is_preset:
        _application(label)  # report a misspelt name before an unsuitable option
    if not is_resnet and (width_multiplier != 1.0 or small_image_stem or selective_kernel):
        raise InputError(
            "`width_multiplier`, `small_image_stem` and `selective_kernel` apply to the SimCLR "
            f"ResNets only. Received: name={label}; use simclr_resnet50 for a ResNet-50 with "
            "any of them."
        )
    if is_resnet:
        return _simclr_resnet(
            label, channels, weights, width_multiplier, small_image_stem, selective_kernel
        )
    if not isinstance(name, str):
        momentum = _MOMENTUM if is_backbone(name) else None  # keep that of a user's own model
        prepared = prepare_encoder(name, image_size, channels, momentum)
        load_weights(prepared.encoder, weights)
    elif is_preset:
        make = keras_cv_backbone if label.startswith(KERAS_CV) else keras_hub_backbone
        backbone, preprocess = make(name, (image_size, image_size, channels), weights)
        preset = name.partition(":")[2]
        prepared = prepare_encoder(
            backbone, image_size, channels, _MOMENTUM, preprocess, preset.split("/")[-1]
        )
    else:
        prepared = _from_applications(label, image_size, channels, weights)
    if log_changes:
        _LOGGER.info("Encoder %s: %s.", label, "; ".join(prepared.changed) or "unchanged")
    if log_changes and prepared.kept:
        _LOGGER.info("Encoder %s still differs: %s.", label, "; ".join(prepared.kept))
    return prepared.encoder if prepared.encoder is name else as_encoder(prepared.encoder)


def _airbench(channels, weights, width_multiplier, small_image_stem, selective_kernel):
    if small_image_stem or selective_kernel:
        raise InputError(
            "airbench is a network for small images already, and has no selective kernels: leave out "
            f"`small_image_stem` and `selective_kernel`. Received: small_image_stem="
            f"{small_image_stem}, selective_kernel={selective_kernel}"
        )
    encoder = airbench(channels, width_multiplier)
    load_weights(encoder, weights)
    return encoder


def _simclr_resnet(label, channels, weights, width_multiplier, small_image_stem, selective):
    depth = label.removeprefix(_RESNET_PREFIX)
    if not depth.isdigit() or int(depth) not in RESNET_DEPTHS:
        raise InputError(_unknown(label))
    encoder = simclr_resnet(
        int(depth),
        channels,
        width_multiplier,
        small_image_stem,
        SELECTIVE_KERNEL_RATIO if selective else 0.0,
        label,
    )
    load_weights(encoder, weights)
    return encoder


def _application(label: str):
    """(module, function) of keras.applications."""
    applications = _applications()
    if label not in applications:
        raise InputError(_unknown(label))
    return applications[label]


def _from_applications(label, image_size, channels, weights) -> PreparedEncoder:
    module, function = _application(label)
    try:
        backbone = function(
            include_top=False,
            weights=weights,
            input_shape=(image_size, image_size, channels),
            pooling="avg",
        )
    except ValueError as error:
        raise InputError(
            f"keras.applications cannot build {label} for {image_size} x {image_size} x "
            f"{channels} images: {one_line(error)}"
        ) from error
    if channels == 3:
        preprocess = applications_input(module)
    else:  # no published channel means to subtract: use [-1, 1]
        preprocess = keras.layers.Rescaling(2.0, -1.0, name="preprocess")
    return prepare_encoder(backbone, image_size, channels, _MOMENTUM, preprocess, label)


def _applications() -> dict:
    """Lower-case function name -> (module name, function), for the installed Keras."""
    found: dict[str, tuple] = {}
    for module_name, module in vars(keras.applications).items():
        if isinstance(module, types.ModuleType) and hasattr(module, "preprocess_input"):
            for function_name, function in vars(module).items():
                if callable(function) and "include_top" in _parameters(function):
                    found.setdefault(function_name.lower(), (module_name, function))
    return found


def is_application(name: str) -> bool:
    """Whether keras.applications has a network of this name, and with it ImageNet weights."""
    return name.lower() in _applications()


def _parameters(function) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return ()


def _unknown(name: str) -> str:
    resnets = [f"{_RESNET_PREFIX}{depth}" for depth in RESNET_DEPTHS]
    known = [*resnets, AIRBENCH, *sorted(_applications())]
    same_end = [other for other in known if other.endswith(name)]  # resnet18: simclr_resnet18
    close = list(dict.fromkeys([*same_end, *closest(name, known)]))[:3]
    return (
        f"There is no encoder named {name!r}. Closest: {', '.join(close)}. "
        "Available: all image models of keras.applications, simclr_resnet18 to "
        "simclr_resnet200, airbench, keras_cv:<preset>, keras_hub:<preset>, module:function and "
        "paths of .keras files."
    )
