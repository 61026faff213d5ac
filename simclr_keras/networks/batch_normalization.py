"""`BatchNormalization`: Keras' layer, with TensorFlow's fused kernel where possible."""

import keras
import tensorflow as tf


def _fused_dtypes() -> tuple[tf.DType, ...]:
    """Types in which the fused kernel is fast; on a processor, it is slow in float16."""
    on_gpu = (tf.float16,) if tf.config.list_physical_devices("GPU") else ()
    return (tf.float32, tf.bfloat16, *on_gpu)


@keras.saving.register_keras_serializable(package="simclr_keras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer of the same name, faster on one replica; its config has `synchronized`.

    Synchronised statistics need the mean and the mean square of each replica. Keras computes
    them in many small operations even on a single replica (Keras 3 even without
    `synchronized`). On one replica there is nothing to synchronise, so this layer uses
    TensorFlow's fused operation, which in inference also merges with the preceding
    convolution. In half precision, its statistics are float32 too. Results match Keras' within
    floating-point error.

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
            and inputs.dtype in _fused_dtypes()
            and len(inputs.shape) == 4
            and axis in (-1, 3)
            and self.center
            and self.scale
        )

    def get_config(self):
        return {**super().get_config(), "synchronized": self.synchronized}
