import tensorflow as tf

from simclr_keras import SimCLRAugmenter

# Random crops and flips alone, which take a third of the time to compile.
CROPS = {"color_jitter_strength": 0, "grayscale_probability": 0, "blur": False}


class Mirrored(SimCLRAugmenter):
    """Views that cost nothing to trace: the images and their mirror images, without draws.

    For tests of what happens to the views; tracing the draws takes most of a first step.
    """

    def call(self, images, seed=None, first_position=0):
        images = tf.cast(images, tf.float32) / 255
        return images, images[:, :, ::-1]
