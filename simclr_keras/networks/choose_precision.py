"""`choose_precision`: the precision in which the device trains fastest."""

import time

import keras
import numpy as np
import tensorflow as tf

from ..settings import MixedPrecision
from .batch_normalization import BatchNormalization
from .precision import precision

_LEAST_GAIN = 1.1  # for which half precision is worth its rounding
_REPETITIONS = 5
_BFLOAT16_SINCE = (8, 0)  # compute capability of GPUs with fast bfloat16
_FLOAT16_SINCE = (7, 0)


def choose_precision() -> tuple[MixedPrecision, str]:
    """The precision to train in, and why.

    On GPUs, what their tensor cores compute; on TPUs bfloat16. On a processor, a small network is
    trained for a moment in float32 and in bfloat16: with AVX512-BF16 or AMX the latter is often
    faster, without them it is much slower.

    Returns:
        `"none"` for float32, `"bfloat16"` or `"float16"`; and the reason, for people.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capabilities = [
            tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            for gpu in gpus
        ]
        return _of_gpu(min(capabilities))
    if tf.config.list_physical_devices("TPU"):
        return "bfloat16", "TPU"
    gain = _seconds("none") / _seconds("bfloat16")
    said = f"bfloat16 is {gain:.2g} times as fast as float32 here"
    return ("bfloat16" if gain >= _LEAST_GAIN else "none"), said


def _of_gpu(capability: tuple[int, int]) -> tuple[MixedPrecision, str]:
    said = f"GPU of compute capability {'.'.join(map(str, capability))}"
    if capability >= _BFLOAT16_SINCE:
        return "bfloat16", said
    return ("float16" if capability >= _FLOAT16_SINCE else "none"), said


def _seconds(name: MixedPrecision) -> float:
    """The least time of a step of a small network: two convolutions with batch norm."""
    with precision(name):
        network = keras.Sequential([keras.Input((16, 16, 32))])
        for _ in range(2):
            network.add(keras.layers.Conv2D(64, 3, padding="same", use_bias=False))
            network.add(BatchNormalization())
            network.add(keras.layers.ReLU())
        images = tf.zeros((128, 16, 16, 32), network.compute_dtype)

        @tf.function
        def step(images):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.cast(network(images, training=True), tf.float32))
            return tape.gradient(loss, network.trainable_variables)

        seconds = []
        for _ in range(1 + _REPETITIONS):  # the first one is traced
            began = time.perf_counter()
            np.asarray(step(images)[0])
            seconds.append(time.perf_counter() - began)
    return min(seconds[1:])
