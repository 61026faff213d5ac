"""Look at the views before training on them: pairs of views, and their random parameters.

    python examples/look_at_views.py photos/ --image-size 96 --color-jitter-strength 0.5

Writes `views.png` (ten images of the folder and two views of each, cut from full resolution as
in training) and `draws.png` (a histogram of every parameter that the augmenter drew, with its
intended distribution). Takes seconds. If you can no longer recognise the image in its views,
the augmentation is too strong for your data. After training, `simclr-keras report RUN` draws
the same for the run.
"""

import argparse

import simclr_keras as sk

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--image-size", type=int, default=96)
parser.add_argument("--color-jitter-strength", type=float, default=1.0)
parser.add_argument("--crop-area-min", type=float, default=0.08)
parser.add_argument("--output", default=".", help="folder for the two pictures")
arguments = parser.parse_args()

augmenter = sk.SimCLRAugmenter(
    arguments.image_size,
    color_jitter_strength=arguments.color_jitter_strength,
    crop_area=(arguments.crop_area_min, 1.0),
)
source = sk.load_source(arguments.folder, "all")
for path in sk.draw_views(source, augmenter, arguments.output).values():
    print(path)
