"""`Convolution2D`: Keras' `Conv2D`, whose gradient in bfloat16 is fast on processors."""

import keras
import tensorflow as tf

# With fewer channels, the products are too small to be faster than TensorFlow's kernel.
_LEAST_CHANNELS = 128


@keras.saving.register_keras_serializable(package="simclr_keras")
class Convolution2D(keras.layers.Conv2D):
    """Keras' `Conv2D`; in bfloat16, a faster gradient of 3x3 kernels with many channels.

    On processors, TensorFlow's gradient with respect to such a kernel takes up to three times as
    long in bfloat16 as the convolution itself, and longer than in float32. As nine products of
    matrices, one for each place in the kernel, it takes a third to a half of that
    (`benchmarks/filter_gradient.py`). Everything else is Keras' own.

    Args, call arguments and returns: as in `keras.layers.Conv2D`.
    """

    def convolution_op(self, inputs, kernel):
        if not self._has_slow_gradient(inputs):
            return super().convolution_op(inputs, kernel)
        return _convolve(inputs, tf.cast(tf.convert_to_tensor(kernel), inputs.dtype))

    def _has_slow_gradient(self, inputs) -> bool:
        return (
            inputs.dtype == tf.bfloat16
            and tuple(self.kernel_size) == (3, 3)
            and tuple(self.strides) == tuple(self.dilation_rate) == (1, 1)
            and self.padding == "same"
            and self.groups == 1
            and self.data_format == "channels_last"
            and min(inputs.shape[-1], self.filters) >= _LEAST_CHANNELS
            and not tf.config.list_physical_devices("GPU")
            and not tf.config.list_physical_devices("TPU")
        )


@tf.custom_gradient
def _convolve(images, kernel):
    """`(N, H, W, C)`, `(3, 3, C, D)` -> `(N, H, W, D)`."""

    def gradient(upstream):
        towards_images = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(images),
            filter=kernel,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
        padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
        height, width = tf.shape(images)[1], tf.shape(images)[2]
        rows = tf.reshape(upstream, [-1, upstream.shape[-1]])  # (N H W, D)
        products = [
            tf.matmul(
                tf.reshape(
                    padded[:, top : top + height, left : left + width], [-1, images.shape[-1]]
                ),
                rows,
                transpose_a=True,
            )
            for top in range(3)
            for left in range(3)
        ]  # nine times (C, D)
        return towards_images, tf.reshape(tf.stack(products), kernel.shape)

    return tf.nn.conv2d(images, kernel, 1, "SAME"), gradient
