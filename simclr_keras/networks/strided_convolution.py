"""1x1 convolutions with a stride, whose gradient TensorFlow computes wrongly on CPUs.

With fewer input channels than a vector register holds (8 with AVX2, 16 with AVX-512), oneDNN
writes past its workspace: the gradient is silently wrong, or the process crashes. Subsampling
followed by a 1x1 convolution of stride 1 computes the same function. See
docs/tensorflow-issue-conv-filter-gradient.md.
"""

import keras
import tensorflow as tf

_LANES = 16  # 32-bit numbers in the widest vector register


def has_wrong_gradient(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a convolution whose gradient is wrong on some CPU.

    Args:
        layer: Any layer; before it is built, its channels are unknown.

    Returns:
        `True` for a built `Conv2D` with a 1x1 kernel, a stride and fewer than 16 input
        channels.
    """
    return (
        isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, (StridedConv2D, keras.layers.Conv2DTranspose))
        and tuple(layer.kernel_size) == (1, 1)
        and max(layer.strides) > 1
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and layer.built
        and layer.kernel.shape[2] < _LANES
    )


@keras.saving.register_keras_serializable(package="simclr_keras")
class StridedConv2D(keras.layers.Conv2D):
    """Keras' `Conv2D` with a 1x1 kernel, but it subsamples before the convolution.

    Args, call arguments and returns: as in `keras.layers.Conv2D`, with a `kernel_size` of 1 and
    channels last.
    """

    def convolution_op(self, inputs, kernel):
        # (N, H, W, C) -> (N, ceil(H / s), ceil(W / s), C); a mean over one position is exact.
        inputs = tf.nn.avg_pool2d(inputs, 1, self.strides, "VALID")
        return tf.nn.conv2d(inputs, tf.convert_to_tensor(kernel), 1, "VALID")
