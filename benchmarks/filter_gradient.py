"""Time of the gradient of a 3x3 convolution's kernel in bfloat16: TensorFlow's and ours.

    python benchmarks/filter_gradient.py

On a processor. Shapes of airbench and of ResNets, 512 views of 32 px or 64 of 224; milliseconds, the
least of several repetitions, in one process.
"""

import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from simclr_keras.networks import convolution

# images, side, channels
SHAPES = [
    (512, 15, 32),
    (512, 8, 64),
    (512, 7, 128),
    (512, 4, 128),
    (512, 3, 256),
    (64, 56, 64),
    (64, 28, 128),
    (64, 14, 256),
    (64, 7, 512),
]


def milliseconds(function, *arguments, repetitions: int = 6) -> float:
    seconds = []
    for _ in range(2 + repetitions):  # the first is traced
        began = time.perf_counter()
        for tensor in function(*arguments):
            np.asarray(tensor[0, 0, 0])
        seconds.append(time.perf_counter() - began)
    return 1e3 * min(seconds[2:])


def gradients(convolve):
    """What computes both gradients of a convolution."""

    @tf.function
    def of(images, kernel, upstream):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            outputs = convolve(images, kernel)
        return tape.gradient(outputs, [images, kernel], upstream)

    return of


def main():
    print("| images | side | channels | float32 | bfloat16 | bfloat16, ours | ratio |")
    print("|---|---|---|---|---|---|---|")
    plain = gradients(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"))
    ours = gradients(convolution._convolve)
    for images, side, channels in SHAPES:
        x = tf.random.stateless_normal([images, side, side, channels], [0, 0])
        w = tf.random.stateless_normal([3, 3, channels, channels], [0, 1])
        half = [tf.cast(each, tf.bfloat16) for each in (x, w, x)]
        times = [
            milliseconds(plain, x, w, x),
            milliseconds(plain, *half),
            milliseconds(ours, *half),
        ]
        text = " | ".join(f"{each:.1f}" for each in times)
        print(f"| {images} | {side} | {channels} | {text} | {times[1] / times[2]:.2f} |")


if __name__ == "__main__":
    main()
