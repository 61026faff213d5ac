"""Look at the views before training on them: pairs of views, and what was drawn.

    python examples/look_at_views.py photos/ --image-size 96 --color-jitter-strength 0.5

Writes `views.png` (ten images of the folder and two views of each) and `draws.png` (a histogram of
every parameter that the augmenter drew, with the distribution it is meant to have). Seconds. Views
on which you can no longer tell what the image was are too strong for your data. After training,
`simclr-keras report RUN` draws the same of the run itself.
"""

import argparse

import tensorflow as tf

import simclr_keras as sk
from simclr_keras.data.datasets import load_source
from simclr_keras.report.draws import collect_draws
from simclr_keras.report.figures import save_draws, save_view_pairs
from simclr_keras.views.cutting import CropCutter

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--image-size", type=int, default=96)
parser.add_argument("--color-jitter-strength", type=float, default=1.0)
parser.add_argument("--crop-area-min", type=float, default=0.08)
arguments = parser.parse_args()

source = load_source(arguments.folder, "all")
augmenter = sk.SimCLRAugmenter(
    arguments.image_size,
    color_jitter_strength=arguments.color_jitter_strength,
    crop_area=(arguments.crop_area_min, 1.0),
)

# 1. The two crops of each image, cut from its full resolution, as in training.
places = range(0, len(source), max(1, len(source) // 10))[:10]
cutter = CropCutter(augmenter, seed=0)
drawn = cutter.draw(tf.constant(0, tf.int64), tf.range(len(places), dtype=tf.int64))
crops = tf.stack([cutter.cut(source.read(place), row) for place, row in zip(places, drawn)])

# 2. Flip, colour and blur: the same (seed, step) continues with the same draws.
view_1, view_2 = augmenter(crops, seed=(0, 0))
images = [source.load(place).numpy() for place in places]
print(save_view_pairs("views.png", images, view_1.numpy(), view_2.numpy()))

# 3. What is drawn for images of these sizes.
shapes = [image.shape[:2] for image in images]
print(save_draws("draws.png", *collect_draws(augmenter, 0, 256, shapes)))
