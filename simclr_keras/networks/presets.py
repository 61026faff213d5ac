"""Backbones of KerasCV and KerasHub by the name of a preset."""

import inspect
import typing

import keras
import numpy as np

from ..errors import InputError, RunFailure, closest
from .adapter import one_line
from .weights_file import load_weights

KERAS_CV = "keras_cv:"
KERAS_HUB = "keras_hub:"

_Shape: typing.TypeAlias = tuple[int, int, int]
_Backbone: typing.TypeAlias = tuple[keras.Model, keras.layers.Layer | None]


def keras_cv_backbone(name: str, shape: _Shape, weights: str | None) -> _Backbone:
    """A KerasCV backbone, and `None`: it says itself what input it wants.

    Args:
        name: `keras_cv:<preset>`.
        shape: `(H, W, C)`.
        weights: A weights file, or `None` for the preset's own.

    Raises:
        InputError: If there is no such preset, or it cannot be built for these images.
        RunFailure: If it cannot be downloaded.
    """
    import keras_cv  # takes seconds, and most encoders do not need it

    preset = name.lower().removeprefix(KERAS_CV)
    backbones: dict[str, typing.Any] = {
        name: value
        for value in vars(keras_cv.models).values()
        if inspect.isclass(value) and issubclass(value, keras_cv.models.Backbone)
        for name in value.presets  # type: ignore[attr-defined]
    }
    if preset not in backbones:
        names = (KERAS_CV + name for name in closest(preset, sorted(backbones)))
        raise InputError(
            f"KerasCV has no backbone preset {preset!r}. Closest: {', '.join(names)}. "
            f"Received: name={name}"
        )
    if weights == "imagenet":
        raise InputError(
            "KerasCV selects weights by preset: use one such as keras_cv:resnet50_imagenet. "
            f"Received: name={name}, weights=imagenet"
        )
    try:
        backbone = backbones[preset].from_preset(
            preset, load_weights=None if weights is None else False, input_shape=shape
        )
    except ValueError as error:
        raise InputError(_cannot_build("KerasCV", preset, shape, error)) from error
    except OSError as error:
        raise RunFailure(
            f"KerasCV cannot download the preset {preset}: {one_line(error)}"
        ) from error
    load_weights(backbone, weights)
    return backbone, None


def keras_hub_backbone(name: str, shape: _Shape, weights: str | None) -> _Backbone:
    """A KerasHub backbone, and the layer that maps images in [0, 1] to the input it wants.

    Args:
        name: `keras_hub:<preset>`: a name, a handle such as `hf://user/model`, or the path of a
            folder.
        shape: `(H, W, C)`.
        weights: A weights file, or `None` for the preset's own.

    Raises:
        InputError: If there is no such preset, or it cannot be built for these images.
        RunFailure: If KerasHub is not installed, or the preset cannot be downloaded.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise RunFailure(
            f"{name} needs KerasHub, which runs with Keras 3 only and is not installed. "
            'Run: pip install "simclr_keras[keras-hub]"'
        ) from error
    preset = name[len(KERAS_HUB) :]
    try:
        backbone = keras_hub.models.Backbone.from_preset(
            preset, load_weights=weights is None, image_shape=shape
        )
        converter = keras_hub.layers.ImageConverter.from_preset(preset)
    except (ValueError, TypeError) as error:
        raise InputError(_cannot_build("KerasHub", preset, shape, error)) from error
    except OSError as error:
        raise RunFailure(
            f"KerasHub cannot read or download the preset {preset}: {one_line(error)}"
        ) from error
    load_weights(backbone, weights)
    # Numbers or one for each channel, for images in 0-255.
    scale = np.multiply(255.0, 1.0 if converter.scale is None else converter.scale)
    offset = 0.0 if converter.offset is None else converter.offset
    return backbone, keras.layers.Rescaling(scale.tolist(), offset, name="preprocess")


def _cannot_build(library: str, preset: str, shape: _Shape, error: Exception) -> str:
    size = " x ".join(map(str, shape))
    return f"{library} cannot build {preset} for {size} images: {one_line(error)}"
