"""Speed of several ways to cut two crops from each JPEG while decoding it, in images/s.

    python benchmarks/decoding.py

All cut the same two boxes from each file and resize them to 224 pixels with antialiasing, in
`tf.data` with one parallel call per core; rounds are interleaved.

- `ours`: decodes once; images of at least twice the views' side are decoded at a reduced scale
  if both crops stay large enough (`pretrain` chooses this based on the data).
- `once`: decodes once at full scale, then cuts.
- `twice`: calls `decode_and_crop_jpeg` for each crop.
- `twice, reduced`: decodes separately for each crop, large images at a separate reduced scale.
- `decode`: the bare decoder, for comparison; nothing is cut.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

import simclr_keras as sk
from simclr_keras.views import crops, cutting

SIZE = 224
SHAPES = {
    "256 x 256": (256, 256, 64),
    "375 x 500": (375, 500, 64),
    "3000 x 4000": (3000, 4000, 4),
}


def photo(draw, height, width):
    """A JPEG with about as many bytes as a photograph of this size."""
    coarse, fine = (
        tf.image.resize(
            draw.random((height // s + 1, width // s + 1, 3)), (height, width), "bicubic"
        )
        for s in (32, 4)
    )
    image = tf.clip_by_value(0.8 * coarse + 0.2 * fine, 0, 1)
    return tf.io.encode_jpeg(tf.cast(255 * image, tf.uint8), quality=90)


def ways(cutter):
    def boxes(image_bytes, candidates):
        shape = tf.io.extract_jpeg_shape(image_bytes)
        return crops.crop_boxes(candidates, shape[0], shape[1])

    def resized(part):
        part = tf.image.resize(part, (SIZE, SIZE), antialias=True)
        return tf.cast(part + 0.5, tf.uint8)

    def once(image_bytes, candidates):
        image = tf.io.decode_jpeg(image_bytes, channels=3)
        views = []
        for box in tf.unstack(tf.cast(boxes(image_bytes, candidates), tf.int32), num=2):
            part = image[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
            views.append(resized(part))
        return tf.stack(views)

    def twice(image_bytes, candidates):
        whole = tf.cast(boxes(image_bytes, candidates), tf.int32)
        return tf.stack(
            [
                resized(tf.io.decode_and_crop_jpeg(image_bytes, box, channels=3))
                for box in tf.unstack(whole, num=2)
            ]
        )

    def twice_reduced(image_bytes, candidates):
        views = [
            cutter.cut(image_bytes, tf.tile(c[None], [2, 1])) for c in tf.unstack(candidates)
        ]
        return tf.stack([view[0] for view in views])

    return {
        "ours": cutter.cut,
        "once": once,
        "twice": twice,
        "twice, reduced": twice_reduced,
        "decode": lambda image_bytes, _: tf.io.decode_jpeg(image_bytes, channels=3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    draw = np.random.default_rng(0)
    augmenter = sk.SimCLRAugmenter(SIZE)
    print(f"TensorFlow {tf.__version__}, {os.cpu_count()} cores; medians, two crops per image")
    print(f"{'image':>12}{'KB':>7}{'way':>16}{'images/s':>10}{'ours is':>9}")
    for name, (height, width, count) in SHAPES.items():
        files = tf.stack([photo(draw, height, width) for _ in range(count)])
        cutter = cutting.CropCutter(augmenter, 0, reduced_scales=min(height, width) >= 2 * SIZE)
        positions = tf.range(count, dtype=tf.int64)
        candidates = cutter.draw(tf.constant(0, tf.int64), positions)
        sources = tf.data.Dataset.from_tensor_slices((files, candidates))
        datasets = {n: sources.map(f, os.cpu_count()) for n, f in ways(cutter).items()}
        seconds = {way: [] for way in datasets}
        for step in range(arguments.rounds + 1):  # the first round is not counted
            for way, dataset in datasets.items():
                start = time.perf_counter()
                for _ in dataset:
                    pass
                if step:
                    seconds[way].append(time.perf_counter() - start)
        rates = {way: count / statistics.median(taken) for way, taken in seconds.items()}
        size = float(tf.reduce_mean(tf.cast(tf.strings.length(files), tf.float32))) / 1000
        for way, rate in rates.items():
            ratio = f"{rates['ours'] / rate:8.2f}x"
            print(f"{name:>12}{size:>7.0f}{way:>16}{rate:>10.1f}{ratio:>9}")


if __name__ == "__main__":
    main()
