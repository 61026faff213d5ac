"""`applications_input`: from images in [0, 1] to what a module of keras.applications expects."""

import keras
import numpy as np
from keras.applications import imagenet_utils

from ..keras_versions import reverse_channels

# Of ImageNet, as `imagenet_utils.preprocess_input` has them: means of BGR in 0-255 ("caffe"), means
# and standard deviations of RGB in 0-1 ("torch").
_CAFFE_MEANS = (103.939, 116.779, 123.68)
_TORCH_MEANS, _TORCH_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def applications_input(module: str) -> keras.Model:
    """A model of Keras' own layers that does what a module's `preprocess_input` does.

    Args:
        module: Module of keras.applications, such as `"resnet50"`.

    Returns:
        Model from images `(N, H, W, 3)` in [0, 1] to the range and channel order of the module.

    Raises:
        ValueError: If the module preprocesses images in a way that is not known here.
    """
    images = keras.Input((None, None, 3))
    mode = _mode(module)
    if mode == "caffe":
        channels = reverse_channels(images)
        outputs = keras.layers.Rescaling(255.0, [-mean for mean in _CAFFE_MEANS])(channels)
    elif mode == "torch":
        scale = [1.0 / deviation for deviation in _TORCH_DEVIATIONS]
        offset = [-mean / deviation for mean, deviation in zip(_TORCH_MEANS, _TORCH_DEVIATIONS)]
        outputs = keras.layers.Rescaling(scale, offset)(images)
    elif mode == "tf":
        outputs = keras.layers.Rescaling(2.0, -1.0)(images)
    else:
        outputs = keras.layers.Rescaling(255.0)(images)
    return keras.Model(images, outputs, name=f"{module}_preprocess_input")


def _mode(module: str) -> str | None:
    """The mode of `imagenet_utils.preprocess_input` that a module uses; `None`: unchanged."""
    pixels = np.array([[[[0.0, 0.0, 0.0], [10.0, 100.0, 200.0]]]], "float32")
    found = getattr(keras.applications, module).preprocess_input(pixels.copy())
    for mode in ("caffe", "tf", "torch"):
        if np.allclose(found, imagenet_utils.preprocess_input(pixels.copy(), mode=mode)):
            return mode
    if np.array_equal(found, pixels):
        return None
    raise ValueError(f"`preprocess_input` of keras.applications.{module} is not known here.")
