"""Speed of making two views of each image, against KerasCV's layers and per-image `tf.image`.

    python benchmarks/views.py
    python benchmarks/views.py --sizes 32 --rounds 9

All methods make two views of the same uint8 images with the paper's policy on the same cores:
crop, flip, colour jitter of strength 1, grayscale and, above 32 pixels, blur. Their rounds are
interleaved and medians are compared, so changes in the machine's speed affect all of them.

- `bicubic`: ours, with crops resized bicubically as in the original release.
- `tf.image`: one image at a time in `tf.data`, with the ops of the original release in its
  order.
- `KerasCV`: its layers on batches, in a compiled graph, without blur (its layer draws one sigma
  per batch) and in KerasCV's order: grayscale before jitter.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import simclr_keras as sk

# Side and number of the images, for each side of the views.
SHAPES = {32: (32, 1024), 96: (110, 256), 224: (256, 64)}
BLUR_FROM = 33


def ours(images, size, interpolation="bilinear"):
    augmenter = sk.SimCLRAugmenter(size, blur=size >= BLUR_FROM, interpolation=interpolation)
    views = tf.function(lambda step: augmenter(images, seed=(0, step)))
    return lambda step: views(tf.constant(step))


def per_image_tf_image(images, size):
    """The ops of `tf2/data_util.py` of the original release, in `tf.data`."""

    def crop(image):
        begin, extent, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            min_object_covered=0.1,
            aspect_ratio_range=(3 / 4, 4 / 3),
            area_range=(0.08, 1.0),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        part = tf.slice(image, begin, extent)
        return tf.image.resize([part], (size, size), method="bicubic")[0]

    def jitter(image):
        operations = (
            lambda x: x * tf.random.uniform([], 0.2, 1.8),
            lambda x: tf.image.random_contrast(x, 0.2, 1.8),
            lambda x: tf.image.random_saturation(x, 0.2, 1.8),
            lambda x: tf.image.random_hue(x, 0.2),
        )
        order = tf.random.shuffle(tf.range(4))
        for place in range(4):
            image = tf.switch_case(
                order[place], [lambda f=f, x=image: f(x) for f in operations]
            )
            image = tf.clip_by_value(image, 0.0, 1.0)
        return image

    def blur(image):
        radius = size // 10 // 2
        sigma = tf.random.uniform([], 0.1, 2.0)
        taps = tf.exp(-(tf.range(-radius, radius + 1, dtype=tf.float32) ** 2) / (2 * sigma**2))
        taps = tf.tile(tf.reshape(taps / tf.reduce_sum(taps), [-1, 1, 1, 1]), [1, 1, 3, 1])
        strides = [1, 1, 1, 1]
        image = tf.nn.depthwise_conv2d(image[None], taps, strides, "SAME")
        taps = tf.transpose(taps, [1, 0, 2, 3])
        return tf.nn.depthwise_conv2d(image, taps, strides, "SAME")[0]

    def sometimes(function, image, probability):
        apply = tf.random.uniform([]) < probability
        return tf.cond(apply, lambda: function(image), lambda: image)

    def view(image):
        image = tf.image.random_flip_left_right(crop(image))
        image = sometimes(jitter, image, 0.8)
        image = sometimes(
            lambda x: tf.tile(tf.image.rgb_to_grayscale(x), [1, 1, 3]), image, 0.2
        )
        if size >= BLUR_FROM:
            image = sometimes(blur, image, 0.5)
        return tf.ensure_shape(tf.clip_by_value(image, 0.0, 1.0), [size, size, 3])

    def views(image):
        image = tf.image.convert_image_dtype(image, tf.float32)
        return view(image), view(image)

    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.map(views, os.cpu_count()).batch(len(images))
    # A new iterator per round: a running one would prefetch while the others are timed.
    return lambda step: next(iter(dataset))


def keras_cv_layers(images, size):
    import keras_cv

    layers = [
        keras_cv.layers.RandomFlip("horizontal"),
        keras_cv.layers.RandomCropAndResize(
            (size, size), crop_area_factor=(0.08, 1.0), aspect_ratio_factor=(3 / 4, 4 / 3)
        ),
        keras_cv.layers.RandomApply(keras_cv.layers.Grayscale(output_channels=3), rate=0.2),
        keras_cv.layers.RandomApply(
            keras_cv.layers.RandomColorJitter(
                value_range=(0, 255),
                brightness_factor=0.8,
                contrast_factor=0.8,
                saturation_factor=(0.3, 0.7),
                hue_factor=0.2,
            ),
            rate=0.8,
        ),
    ]

    @tf.function
    def views():
        results = []
        for _ in range(2):
            view = tf.cast(images, tf.float32)
            for layer in layers:
                view = layer(view, training=True)
            results.append(view / 255.0)
        return results

    return lambda step: views()


METHODS = {
    "ours": ours,
    "bicubic": lambda images, size: ours(images, size, "bicubic"),
    "tf.image": per_image_tf_image,
    "KerasCV": keras_cv_layers,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SHAPES), choices=SHAPES)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores; medians, two views per image")
    print(f"{'views':>6}{'images':>8}{'method':>10}{'images/s':>10}{'ours is':>9}")
    for size in arguments.sizes:
        side, count = SHAPES[size]
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (count, side, side, 3), "uint8")
        images = tf.constant(images)
        makers = {name: make(images, size) for name, make in METHODS.items()}
        for make in makers.values():  # traces and compiles
            make(0)
        seconds = {name: [] for name in makers}
        for step in range(arguments.rounds):
            for name, make in makers.items():
                start = time.perf_counter()
                for view in make(step + 1):
                    view.numpy()
                seconds[name].append(time.perf_counter() - start)
        rates = {name: count / statistics.median(taken) for name, taken in seconds.items()}
        for name, rate in rates.items():
            ratio = f"{rates['ours'] / rate:8.1f}x"
            print(f"{size:>6}{side:>8}{name:>10}{rate:>10.0f}{ratio:>9}")


if __name__ == "__main__":
    main()
