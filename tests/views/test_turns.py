import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import SimCLRAugmenter
from simclr_keras.views.crops import to_images, to_planes
from simclr_keras.views.cutting import CropCutter
from simclr_keras.views.turns import flip_vertically, turn

PLAIN = {"color_jitter_strength": 0, "grayscale_probability": 0, "blur": False}
ALL = {"vertical_flip": True, "quarter_turns": True}


def _planes(images):
    return to_planes(tf.constant(images), tf.zeros(len(images), tf.bool))


def test_turns_are_those_of_numpy(rng):
    images = rng.random((4, 5, 5, 3), "float32")
    turned = to_images(turn(_planes(images), tf.range(4))).numpy()
    flipped = to_images(flip_vertically(_planes(images), tf.constant([True] * 3 + [False])))
    for quarters, image in enumerate(images):
        np.testing.assert_array_equal(turned[quarters], np.rot90(image, quarters))
        expected = image if quarters == 3 else image[::-1]
        np.testing.assert_array_equal(flipped[quarters], expected)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cropped", [False, True])
def test_views_are_the_same_views_turned(rng, cropped, compiled):
    """Cut while decoding or on the device: the rest of the view does not change."""
    images = rng.integers(0, 256, (24, 2, 16, 16, 3) if cropped else (24, 20, 18, 3), "uint8")
    if not cropped:
        cutter = CropCutter(SimCLRAugmenter(16, **PLAIN), seed=4)
        drawn = cutter.draw(tf.constant(9, tf.int64), tf.range(24, dtype=tf.int64))
        images = tf.stack([cutter.cut(x, row) for x, row in zip(tf.constant(images), drawn)])
    upright, turned = SimCLRAugmenter(16, **PLAIN), SimCLRAugmenter(16, **PLAIN, **ALL)
    positions = tf.range(24, dtype=tf.int64)
    drawn = turned.draw((4, 9), positions, 16, 16)
    call = tf.function(turned, jit_compile=True) if compiled else turned
    for before, after, parameters in zip(
        upright(images, seed=(4, 9)), call(images, seed=(4, 9)), drawn
    ):
        flips, quarters = parameters.vertical_flip.numpy(), parameters.quarter_turns.numpy()
        assert set(quarters) == {0, 1, 2, 3} and set(flips) == {True, False}
        for x, y, flip, quarter in zip(before.numpy(), after.numpy(), flips, quarters):
            np.testing.assert_array_equal(np.rot90(x[::-1] if flip else x, quarter), y)


@pytest.mark.slow
def test_colour_and_blur_are_drawn_as_before(rng):
    image = np.full((2, 30, 30, 3), 200, "uint8")  # a turn changes nothing but what is drawn
    image[..., 1:] = 90
    before = SimCLRAugmenter(24)(image, seed=(1, 2))
    after = SimCLRAugmenter(24, **ALL)(image, seed=(1, 2))
    for x, y in zip(before, after):
        np.testing.assert_allclose(x, y, atol=1e-6)
