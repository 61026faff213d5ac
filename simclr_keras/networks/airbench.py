"""The network of the supervised CIFAR-10 speed records, as an encoder."""

import keras

from .encoder import Encoder
from .resnet import convolution, norm

AIRBENCH = "airbench"
_WIDTHS = (64, 256, 256)  # filters of the three groups at a width multiplier of 1
_FEATURES = 4096


def airbench(
    channels: int = 3, width_multiplier: float = 1.0, name: str | None = None
) -> keras.Model:
    """A shallow network for small images that learns fast on a processor.

    A 2x2 convolution with filters for both signs of each number in its patch; three groups of a
    3x3 convolution, max-pooling, batch norm, ReLU, and another 3x3 convolution, batch norm and
    ReLU; a 1x1 convolution to many features, batch norm and ReLU; the mean over space. Pooling comes
    before batch norm, and there are no shortcuts. Unlike in the record, the first convolution is
    learned instead of computed from the data, the activations are ReLUs, features are means, not
    maxima, and the 1x1 convolution is new: like that of MobileNetV2, it costs little where the maps
    are smallest, and a linear classifier finds much more in its features (`benchmarks/recipes.md`).

    Args:
        channels: Image channels C.
        width_multiplier: Factor on the filters of the three groups, 64, 256 and 256, and on the
            4096 features.
        name: Name of the model.

    Returns:
        A model `(N, H, W, C)` in [0, 1] -> `(N, D)`, D = 4096 times the width multiplier, for images
        of at least 9 pixels.

    Raises:
        ValueError: If the width multiplier leaves no filter.

    Reference:
        Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU",
        https://arxiv.org/abs/2404.00498, Section 3.1; the 1x1 convolution: Sandler et al. 2018,
        https://arxiv.org/abs/1801.04381, Table 2.
    """
    widths = [round(width * width_multiplier) for width in _WIDTHS]
    if widths[0] < 1:
        raise ValueError(
            f"`width_multiplier` leaves no filter in the first group: {_WIDTHS[0]} times it rounds to "
            f"0. Received: width_multiplier={width_multiplier}"
        )
    images = keras.Input((None, None, channels), name="images")
    x = keras.layers.Conv2D(
        8 * channels,
        2,
        kernel_initializer=keras.initializers.VarianceScaling(),
        name="initial_conv",
    )(images)
    x = keras.layers.ReLU(name="initial_relu")(x)
    for group, filters in enumerate(widths, start=1):
        scope = f"block_group{group}"
        x = convolution(x, filters, 3, 1, f"{scope}_conv1")
        x = keras.layers.MaxPooling2D(2, name=f"{scope}_pool")(x)
        x = norm(x, f"{scope}_norm1")
        x = norm(convolution(x, filters, 3, 1, f"{scope}_conv2"), f"{scope}_norm2")
    x = convolution(x, round(_FEATURES * width_multiplier), 1, 1, "final_conv")
    x = norm(x, "final_norm")
    features = keras.layers.GlobalAveragePooling2D(name="final_avg_pool")(x)
    return Encoder(images, features, name=name or AIRBENCH)
