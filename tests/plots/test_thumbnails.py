import base64

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.plots.thumbnails import thumbnail_uri


def _decoded(uri: str) -> np.ndarray:
    return tf.io.decode_image(base64.b64decode(uri.partition(",")[2])).numpy()


def test_small_pictures_keep_every_pixel(rng):
    image = rng.integers(0, 256, (8, 6, 3), "uint8")
    uri = thumbnail_uri(image)
    assert uri.startswith("data:image/png") and (_decoded(uri) == image).all()
    assert (_decoded(thumbnail_uri(image / np.float32(255))) == image).all()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_show_the_first(rng, channels):
    image = rng.integers(0, 256, (8, 8, channels), "uint8")
    assert (_decoded(thumbnail_uri(image))[..., 0] == image[..., 0]).all()


def test_large_pictures_are_made_smaller():
    image = np.zeros((500, 250, 3), "uint8")
    image[:250] = 200
    uri = thumbnail_uri(image)
    small = _decoded(uri)
    assert uri.startswith("data:image/jpeg") and small.shape == (96, 48, 3)
    assert abs(int(small[10, 10, 0]) - 200) < 5 and small[-10, 10, 0] < 5
