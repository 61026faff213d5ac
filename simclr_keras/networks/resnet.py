"""The ResNets of the SimCLR release as functional Keras models.

They differ from those of keras.applications in what contrastive pretraining needs: no
convolution biases, batch norm with momentum 0.9 and epsilon 1e-5, synchronised over replicas,
the last gamma of each block at zero, stride in the 3x3 convolution, fixed padding, a width
multiplier, selective kernels and a stem for small images.

Layers are named after the tensors of the release: `initial_conv`, `initial_max_pool`,
`block_group1` to `block_group4` and `final_avg_pool`.
"""

import keras

from .batch_normalization import BatchNormalization
from .convolution import Convolution2D
from .encoder import Encoder
from .selective_kernel import mix_streams, pool_streams

# Blocks per group, and whether they are bottlenecks (He et al. 2015, Table 1).
BLOCK_GROUPS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
    200: ((3, 24, 36, 3), True),
}
RESNET_DEPTHS = tuple(BLOCK_GROUPS)
SELECTIVE_KERNEL_RATIO = 0.0625  # in every SimCLR v2 network with selective kernels
BASE_WIDTH = 64  # filters of the stem at a width multiplier of 1
_LEAST_MIXING_WIDTH = 32


def simclr_resnet(
    depth: int,
    channels: int = 3,
    width_multiplier: float = 1.0,
    small_image_stem: bool = False,
    selective_kernel_ratio: float = 0.0,
    name: str | None = None,
) -> keras.Model:
    """A SimCLR ResNet that takes images of any height and width.

    Args:
        depth: 18, 34, 50, 101, 152 or 200.
        channels: Image channels C.
        width_multiplier: Factor on the number of filters of every convolution; 64 times it must
            round to 1 or more.
        small_image_stem: A 3x3 convolution of stride 1 and no pooling instead of the 7x7 of
            stride 2 with pooling, for images of about 32 pixels (Appendix B.9 of the paper).
        selective_kernel_ratio: 0 for the plain network. Above 0 (0.0625 in SimCLR v2) the 3x3
            convolution of each bottleneck becomes two streams mixed by attention, whose hidden
            layer has this share of the filters (at least 32), and the stem and shortcuts
            become those of ResNet-D. As in the release, depths 18 and 34 (basic blocks) get
            only the stem and the shortcuts.
        name: Name of the model.

    Returns:
        A model `(N, H, W, C)` in [0, 1] -> `(N, D)`, D = 512 (18, 34) or 2048 times the width
        multiplier.

    Raises:
        ValueError: If the depth, the width multiplier or the ratio is not supported.

    Reference:
        He et al. 2015, https://arxiv.org/abs/1512.03385; Chen et al. 2020,
        https://arxiv.org/abs/2002.05709, Appendices B.6 and B.9, and
        https://arxiv.org/abs/2006.10029, Section 3.1; selective kernels: Li et al. 2019,
        https://arxiv.org/abs/1903.06586; ResNet-D: He et al. 2018,
        https://arxiv.org/abs/1812.01187.
    """
    if depth not in BLOCK_GROUPS:
        raise ValueError(f"`depth` must be one of {RESNET_DEPTHS}. Received: depth={depth}")
    if round(BASE_WIDTH * width_multiplier) < 1:
        raise ValueError(
            "`width_multiplier` leaves no filter in the first stage: "
            f"{BASE_WIDTH} times it rounds to 0. Received: width_multiplier={width_multiplier}"
        )
    if not 0 <= selective_kernel_ratio <= 1:
        raise ValueError(
            "`selective_kernel_ratio` must be in [0, 1]. Received: "
            f"selective_kernel_ratio={selective_kernel_ratio}"
        )
    blocks, is_bottleneck = BLOCK_GROUPS[depth]
    block = _bottleneck_block if is_bottleneck else _basic_block
    images = keras.Input((None, None, channels), name="images")
    x = _stem(
        images, round(BASE_WIDTH * width_multiplier), small_image_stem, selective_kernel_ratio
    )
    for group, count in enumerate(blocks, start=1):
        filters = round(BASE_WIDTH * 2 ** (group - 1) * width_multiplier)
        for index in range(1, count + 1):
            scope = f"block_group{group}_block{index}"
            shortcut = x
            stride = 2 if index == 1 and group > 1 else 1
            if index == 1:
                width = 4 * filters if is_bottleneck else filters
                shortcut = _shortcut(x, width, stride, selective_kernel_ratio, scope)
            x = block(x, filters, stride, selective_kernel_ratio, scope)
            x = keras.layers.Add(name=f"{scope}_add")([x, shortcut])
            output = f"block_group{group}" if index == count else f"{scope}_relu"
            x = keras.layers.ReLU(name=output)(x)
    features = keras.layers.GlobalAveragePooling2D(name="final_avg_pool")(x)
    return Encoder(images, features, name=name or f"simclr_resnet{depth}")


def _stem(x, width, small_image_stem, selective_kernel_ratio):
    if small_image_stem:
        x = convolution(x, width, 3, 1, "initial_conv")
    elif selective_kernel_ratio:  # three 3x3 instead of the 7x7 (ResNet-D)
        narrow = max(width // 2, 1)
        x = norm(convolution(x, narrow, 3, 2, "stem_conv1"), "stem_norm1")
        x = norm(convolution(x, narrow, 3, 1, "stem_conv2"), "stem_norm2")
        x = convolution(x, width, 3, 1, "initial_conv")
    else:
        x = convolution(x, width, 7, 2, "initial_conv")
    x = norm(x, "initial_norm")
    if small_image_stem:
        return x
    return keras.layers.MaxPooling2D(3, 2, padding="same", name="initial_max_pool")(x)


def _shortcut(x, filters, stride, selective_kernel_ratio, scope):
    """A 1x1 convolution in the first block of each group; ResNet-D average-pools before it."""
    if selective_kernel_ratio:
        if stride > 1:
            x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{scope}_shortcut_pad")(x)
        x = keras.layers.AveragePooling2D(
            2, stride, padding="valid" if stride > 1 else "same", name=f"{scope}_shortcut_pool"
        )(x)
        stride = 1
    x = convolution(x, filters, 1, stride, f"{scope}_shortcut_conv")
    return norm(x, f"{scope}_shortcut_norm", relu=False)


def _basic_block(x, filters, stride, selective_kernel_ratio, scope):
    """Two 3x3 convolutions."""
    x = norm(convolution(x, filters, 3, stride, f"{scope}_conv1"), f"{scope}_norm1")
    return _last_norm(convolution(x, filters, 3, 1, f"{scope}_conv2"), f"{scope}_norm2")


def _bottleneck_block(x, filters, stride, selective_kernel_ratio, scope):
    """1x1, 3x3 (with the stride) and 1x1 convolutions; the last is four times as wide."""
    x = norm(convolution(x, filters, 1, 1, f"{scope}_conv1"), f"{scope}_norm1")
    if selective_kernel_ratio:
        x = _selective_kernel(x, filters, stride, selective_kernel_ratio, scope)
    else:
        x = norm(convolution(x, filters, 3, stride, f"{scope}_conv2"), f"{scope}_norm2")
    return _last_norm(convolution(x, 4 * filters, 1, 1, f"{scope}_conv3"), f"{scope}_norm3")


def _selective_kernel(x, filters, stride, ratio, scope):
    """Two 3x3 streams in one convolution, mixed with weights computed from the whole image."""
    streams = convolution(x, 2 * filters, 3, stride, f"{scope}_conv2")
    streams = norm(streams, f"{scope}_norm2")
    hidden = max(int(filters * ratio), _LEAST_MIXING_WIDTH)
    mixing = pool_streams(streams, f"{scope}_pool_streams")
    mixing = norm(convolution(mixing, hidden, 1, 1, f"{scope}_mix1"), f"{scope}_mix_norm")
    mixing = convolution(mixing, 2 * filters, 1, 1, f"{scope}_mix2")
    return mix_streams(streams, mixing, f"{scope}_mix_streams")


def convolution(x, filters: int, kernel: int, stride: int, name: str):
    """A convolution without bias, with the release's initial weights and padding."""
    if stride > 1 and kernel > 1:  # "fixed" padding: independent of the image's size
        low = (kernel - 1) // 2
        pad = ((low, kernel - 1 - low),) * 2
        x = keras.layers.ZeroPadding2D(pad, name=f"{name}_pad")(x)
    elif stride > 1:  # same function, correct gradients on CPUs: see strided_convolution.py
        x = keras.layers.AveragePooling2D(1, stride, name=f"{name}_subsample")(x)
        stride = 1
    return Convolution2D(
        filters,
        kernel,
        stride,
        padding="valid" if stride > 1 else "same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(),
        name=name,
    )(x)


def norm(x, name: str, relu: bool = True, gamma: str = "ones"):
    """Synchronised batch norm with the release's settings, and a ReLU."""
    x = BatchNormalization(
        momentum=0.9, epsilon=1e-5, synchronized=True, gamma_initializer=gamma, name=name
    )(x)
    return keras.layers.ReLU(name=f"{name}_relu")(x) if relu else x


def _last_norm(x, name):
    # gamma 0: each block starts as the identity (Goyal et al. 2017, arXiv 1706.02677).
    return norm(x, name, relu=False, gamma="zeros")
