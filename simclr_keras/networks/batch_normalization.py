"""`BatchNormalization`: Keras' layer, with TensorFlow's fused kernel where possible."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="simclr_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer of the same name, faster on one replica; its config has `synchronized`.

    Synchronised statistics need the mean and the mean square of each replica. Keras computes
    them in many small operations even on a single replica (Keras 3 even without
    `synchronized`). On one replica there is nothing to synchronise, so this layer uses
    TensorFlow's fused operation, which in inference also merges with the preceding
    convolution. Results match Keras' within floating-point error.

    Args, call arguments and returns: as in `keras.layers.BatchNormalization`.
    """

    def call(self, inputs, training=None, mask=None):
        if mask is not None or not self._fits_the_fused_kernel(inputs, training):
            return super().call(inputs, training=training, mask=mask)
        is_training = bool(training) and self.trainable
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs,
            tf.convert_to_tensor(self.gamma),
            tf.convert_to_tensor(self.beta),
            mean=None if is_training else tf.convert_to_tensor(self.moving_mean),
            variance=None if is_training else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=is_training,
        )
        if is_training:
            count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)  # N * H * W
            # The kernel returns the unbiased variance; Keras averages the biased one.
            variance *= (count - 1.0) / count
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
        return outputs

    def _fits_the_fused_kernel(self, inputs, training) -> bool:
        axis = self.axis[0] if isinstance(self.axis, (list, tuple)) else self.axis
        return (
            tf.distribute.get_strategy().num_replicas_in_sync == 1
            and isinstance(training, (bool, int))  # known while tracing
            and inputs.dtype == tf.float32
            and len(inputs.shape) == 4
            and axis in (-1, 3)
            and self.center
            and self.scale
        )

    def get_config(self):
        return {**super().get_config(), "synchronized": self.synchronized}
