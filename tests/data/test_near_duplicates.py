import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.data.near_duplicates import copies_among
from simclr_keras.data.sources import ArraySource, EncodedSource


@pytest.fixture
def pictures(rng):
    """40 smooth pictures of 64 x 64 pixels, no two alike."""
    small = tf.constant(rng.random((40, 6, 6, 3), "float32"))
    large = tf.clip_by_value(tf.image.resize(small, (64, 64), method="bicubic"), 0, 1)
    return np.round(255 * large.numpy()).astype("uint8")


def _found(images, others, size=64):
    copies = copies_among(images, others, size)
    return dict(zip(copies.places.tolist(), copies.originals.tolist())), copies.exact.tolist()


def test_planted_copies_are_found_however_they_were_encoded(pictures):
    train, test = pictures[:30], list(pictures[30:])
    bright = np.clip(0.8 * train[5] + 30.0, 0, 255).astype("uint8")
    half = tf.cast(tf.image.resize(train[7], (32, 32), antialias=True), tf.uint8)
    test += [train[3], bright, half, train[29]]
    encoded = [tf.io.encode_png(image).numpy() for image in test[:-1]]
    encoded.append(tf.io.encode_jpeg(test[-1], quality=70).numpy())
    places, exact = _found(EncodedSource(encoded), ArraySource(train))
    assert places == {10: 3, 11: 5, 12: 7, 13: 29}
    assert exact == [True, False, False, False]


def test_pictures_of_their_own_are_not(pictures):
    assert _found(ArraySource(pictures[:10]), ArraySource(pictures[10:])) == ({}, [])
    mirrored = ArraySource(pictures[:10, :, ::-1].copy())
    assert _found(mirrored, ArraySource(pictures)) == ({}, [])


def test_equal_pixels_come_before_near_ones(pictures):
    """A brighter copy lies in the first batch of the training part, an equal one in the second."""
    many = np.repeat(pictures[1:2], 600, axis=0)
    many[4] = np.clip(pictures[0] * 0.9 + 9, 0, 255)
    many[550] = pictures[0]
    assert _found(ArraySource(pictures[:1]), ArraySource(many)) == ({0: 550}, [True])


def test_small_images_and_plain_ones_must_be_equal(rng):
    small = rng.integers(0, 256, (6, 8, 8, 3), "uint8")
    almost = small + (small < 255)
    both = ArraySource(np.concatenate([almost[:3], small[3:]]))
    assert _found(both, ArraySource(small), 8) == ({3: 3, 4: 4, 5: 5}, [True] * 3)
    grey = np.stack([np.full((32, 32, 3), value, "uint8") for value in (0, 90, 255)])
    assert _found(ArraySource(grey[:2]), ArraySource(grey[1:]), 32) == ({1: 0}, [True])
