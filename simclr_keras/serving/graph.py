"""The object that an export saves: signatures and the Reusable SavedModel interface."""

import contextlib
from collections.abc import Callable

import keras
import tensorflow as tf

from ..data.decoding import decode_image
from ..data.images import resize_and_center_crop, to_unit_range
from ..errors import InputError
from ..keras_versions import replaced_weights, tensorflow_variables


def reusable(
    encoder: keras.Model,
    image_size: int,
    answer: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    weights_dtype: str = "float32",
) -> tuple[tf.train.Checkpoint, dict]:
    """Traces an encoder or a classifier into the object to save.

    The encoder itself is not tracked, only its variables and the traced functions: loading
    needs neither Keras nor this package.

    Args:
        encoder: Model from images in [0, 1] to features `(N, D)`, or to logits.
        image_size: S in pixels.
        answer: Maps its output to the outputs of the signatures, by name.
        weights_dtype: `"float16"` or `"bfloat16"` stores every weight of rank 2 or more in
            that type and computes in float32; such an export cannot be fine-tuned.

    Returns:
        The object to save, and its signatures by name.
    """
    channels = encoder.input_shape[-1]
    spec = tf.TensorSpec([None, image_size, image_size, channels], tf.float32, "images")
    is_full = weights_dtype == "float32"
    stored = [_stored(v, weights_dtype) for v in tensorflow_variables(encoder.variables)]

    def features(images, training):
        with contextlib.ExitStack() as stack:
            if not is_full:
                tensors = [tf.cast(variable, tf.float32) for variable in stored]
                stack.enter_context(replaced_weights(encoder, tensors))
            return tf.cast(encoder(images, training=training), tf.float32)

    @tf.function
    def call(images, training=False):
        return features(images, training)

    def answer_to(images):
        # Convolutions fail on an empty batch: a blank image is added, and its output dropped.
        # (Not with tf.pad: oneDNN fuses it into the convolution and loses the added image.)
        count = tf.shape(images)[0]
        stand_in = tf.zeros([tf.cast(count == 0, tf.int32), image_size, image_size, channels])
        images = tf.concat([images, stand_in], axis=0)
        return answer(features(images, training=False)[:count])

    @tf.function(input_signature=[spec])
    def serve(images):
        return answer_to(to_unit_range(images))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_bytes(image_bytes):
        images = tf.map_fn(
            lambda encoded: resize_and_center_crop(
                decode_image(encoded, image_size), image_size
            ),
            image_bytes,
            fn_output_signature=tf.TensorSpec([image_size, image_size, 3], tf.float32),
        )
        return answer_to(images)

    for training in (False, True) if is_full else (False,):
        call.get_concrete_function(spec, training=training)
    served = tf.train.Checkpoint()
    served.__call__ = call
    served.serve = serve
    signatures = {"serving_default": serve}
    if channels == 3:
        served.serve_bytes = signatures["serving_bytes"] = serve_bytes
    served.variables = stored
    served.trainable_variables = (
        tensorflow_variables(encoder.trainable_variables) if is_full else []
    )
    served.regularization_losses = (
        [tf.function(lambda: tf.add_n(encoder.losses), input_signature=[])]
        if is_full and encoder.losses
        else []
    )
    return served, signatures


def _stored(variable: tf.Variable, weights_dtype: str) -> tf.Variable:
    """What to save for a variable: itself, or a half-size copy of a kernel."""
    # Vectors (biases, batch norm) are less than 1 % of the size and need the precision.
    if weights_dtype == "float32" or variable.shape.rank < 2 or not variable.dtype.is_floating:
        return variable
    value = tf.cast(variable, weights_dtype)
    if not bool(tf.reduce_all(tf.math.is_finite(tf.cast(value, tf.float32)))):
        largest = float(tf.reduce_max(tf.abs(variable)))
        raise InputError(
            f"A weight of {variable.name} is not finite as {weights_dtype}. Export it as bfloat16 "
            f"or float32. Received: a largest value of {largest:g}"
        )
    return tf.Variable(value, trainable=False, name=variable.name.split(":")[0])
