"""`thumbnail_uri`: a small picture, as text for a page."""

import numpy as np
import tensorflow as tf

from ..html_page import data_uri

_LARGEST = 96  # pixels of the longer side
_LOSSLESS = 40  # up to which JPEG would save nothing and blur


def thumbnail_uri(image: np.ndarray) -> str:
    """Encodes a picture for `src`.

    Args:
        image: `(H, W, C)`, uint8 or floating in [0, 1]; unless C is 3, only the first channel is
            shown.
    """
    image = tf.convert_to_tensor(image)
    image = image if image.shape[-1] == 3 else image[..., :1]
    longest = max(image.shape[:2])
    if longest > _LARGEST:
        sides = [max(1, round(side * _LARGEST / longest)) for side in image.shape[:2]]
        image = tf.image.resize(
            tf.image.convert_image_dtype(image, tf.float32), sides, antialias=True
        )
    image = tf.image.convert_image_dtype(image, tf.uint8, saturate=True)
    if longest <= _LOSSLESS:
        return data_uri(tf.io.encode_png(image).numpy(), "image/png")
    return data_uri(tf.io.encode_jpeg(image, quality=85).numpy())
