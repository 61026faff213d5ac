"""The selective-kernel unit of SimCLR v2: two streams, mixed channel by channel.

N images, H x W positions, F filters.
"""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="simclr_keras")
class PoolStreams(keras.layers.Layer):
    """Averages the sum of the two streams over space, as input for the mixing weights.

    Call arguments:
        streams: `(N, H, W, 2F)`, the two streams concatenated.

    Returns:
        `(N, 1, 1, F)`.
    """

    def call(self, streams):
        # The mean of the sum is the sum of the means, which adds H * W times fewer numbers.
        first, second = tf.split(tf.reduce_mean(streams, [1, 2], keepdims=True), 2, axis=-1)
        return first + second

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 1, 1, input_shape[-1] // 2)


@keras.saving.register_keras_serializable(package="simclr_keras")
class MixStreams(keras.layers.Layer):
    """The sum of two streams, weighted by a softmax over the two for each image and channel.

    Call arguments:
        inputs: streams `(N, H, W, 2F)` and the weights' logits `(N, 1, 1, 2F)`.

    Returns:
        `(N, H, W, F)`.
    """

    def call(self, inputs):
        streams, logits = inputs
        first, second = tf.split(streams, 2, axis=-1)
        logit_1, logit_2 = tf.split(logits, 2, axis=-1)
        # A softmax over two logits is the sigmoid of their difference.
        return second + tf.sigmoid(logit_1 - logit_2) * (first - second)

    def compute_output_shape(self, input_shape):
        streams, _ = input_shape
        return (*streams[:-1], streams[-1] // 2)
