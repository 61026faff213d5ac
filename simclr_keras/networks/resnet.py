"""The ResNets of the SimCLR release as functional Keras models.

They differ from keras.applications' in what contrastive pretraining needs: no convolution
biases, batch norm with momentum 0.9 and epsilon 1e-5, synchronised over replicas, the last
gamma of each block at zero, stride in the 3x3 convolution, fixed padding, a width multiplier
and a stem for small images.
"""

import keras

from ..keras_versions import BatchNormalization

# Blocks per stage, and whether they are bottlenecks (He et al. 2015, Table 1).
_STAGES = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
    200: ((3, 24, 36, 3), True),
}
RESNET_DEPTHS = tuple(_STAGES)


def simclr_resnet(
    depth: int,
    channels: int = 3,
    width_multiplier: float = 1.0,
    small_image_stem: bool = False,
    name: str | None = None,
) -> keras.Model:
    """A SimCLR ResNet that takes images of any height and width.

    Args:
        depth: 18, 34, 50, 101, 152 or 200.
        channels: Image channels C.
        width_multiplier: Factor on every convolution's filters, at least 1/64.
        small_image_stem: A 3x3 convolution of stride 1 and no pooling instead of the 7x7 of
            stride 2 with pooling, for images of about 32 pixels (Appendix B.9 of the paper).
        name: Name of the model.

    Returns:
        A model `(N, H, W, C)` in [0, 1] -> `(N, D)`, D = 512 (18, 34) or 2048 times the width.

    Raises:
        ValueError: If the depth or the width is not possible.

    Reference:
        He et al. 2015, https://arxiv.org/abs/1512.03385; Chen et al. 2020,
        https://arxiv.org/abs/2002.05709, Appendices B.6 and B.9.
    """
    if depth not in _STAGES:
        raise ValueError(f"`depth` must be one of {RESNET_DEPTHS}. Received: depth={depth}")
    if round(64 * width_multiplier) < 1:
        raise ValueError(
            "`width_multiplier` leaves no filter in the first stage (64 times it). "
            f"Received: width_multiplier={width_multiplier}"
        )
    blocks, is_bottleneck = _STAGES[depth]
    images = keras.Input((None, None, channels), name="images")
    width = round(64 * width_multiplier)
    if small_image_stem:
        x = _norm(_convolution(images, width, 3, 1, "stem_conv"), "stem_norm")
    else:
        x = _norm(_convolution(images, width, 7, 2, "stem_conv"), "stem_norm")
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    for stage, count in enumerate(blocks):
        filters = round(64 * 2**stage * width_multiplier)
        for index in range(count):
            block = _bottleneck_block if is_bottleneck else _basic_block
            stride = 2 if index == 0 and stage > 0 else 1
            x = block(x, filters, stride, index == 0, f"stage{stage + 1}_block{index + 1}")
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return keras.Model(images, features, name=name or f"simclr_resnet{depth}")


def _basic_block(x, filters, stride, projects, name):
    """Two 3x3 convolutions; a 1x1 shortcut at the start of each stage."""
    shortcut = x
    if projects:
        shortcut = _convolution(x, filters, 1, stride, f"{name}_shortcut_conv")
        shortcut = _norm(shortcut, f"{name}_shortcut_norm", relu=False)
    x = _norm(_convolution(x, filters, 3, stride, f"{name}_conv1"), f"{name}_norm1")
    x = _convolution(x, filters, 3, 1, f"{name}_conv2")
    return _add(x, shortcut, name, "norm2")


def _bottleneck_block(x, filters, stride, projects, name):
    """1x1, 3x3 (with the stride) and 1x1 convolutions; the last is four times as wide."""
    shortcut = x
    if projects:
        shortcut = _convolution(x, 4 * filters, 1, stride, f"{name}_shortcut_conv")
        shortcut = _norm(shortcut, f"{name}_shortcut_norm", relu=False)
    x = _norm(_convolution(x, filters, 1, 1, f"{name}_conv1"), f"{name}_norm1")
    x = _norm(_convolution(x, filters, 3, stride, f"{name}_conv2"), f"{name}_norm2")
    x = _convolution(x, 4 * filters, 1, 1, f"{name}_conv3")
    return _add(x, shortcut, name, "norm3")


def _add(x, shortcut, name, norm):
    # gamma 0: each block starts as the identity (Goyal et al. 2017, arXiv 1706.02677).
    x = _norm(x, f"{name}_{norm}", relu=False, gamma="zeros")
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def _convolution(x, filters, kernel, stride, name):
    if stride > 1 and kernel > 1:  # "fixed" padding: independent of the image's size
        low = (kernel - 1) // 2
        pad = ((low, kernel - 1 - low),) * 2
        x = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad")(x)
    return keras.layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0),
        name=name,
    )(x)


def _norm(x, name, relu=True, gamma="ones"):
    x = BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=True, gamma_initializer=gamma, name=name
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x
