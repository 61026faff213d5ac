"""`copies_among`: which images of one source look like an image of another."""

import collections
import hashlib
import typing
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from ..progress import counted
from .datasets import evaluation_dataset
from .sources import ImageSource

_SIDE, _ALIKE = 16, 0.98
_GREY_SIDE, _GREY_ALIKE = 8, 0.9  # a twelfth of the numbers, to leave out most pairs
_BATCH = 512
RULE = (
    f"equal pixels, or a correlation of at least {_ALIKE} of their colours at {_SIDE} x {_SIDE} "
    "pixels"
)  # for people


class Copies(typing.NamedTuple):
    """Images that look like one of another source.

    Attributes:
        places: int64 `(n,)`: their indices, sorted.
        originals: int64 `(n,)`: of each, the index of the image in the other source.
        exact: bool `(n,)`: whether the pixels of both are equal.
    """

    places: np.ndarray
    originals: np.ndarray
    exact: np.ndarray


def copies_among(images: ImageSource, others: ImageSource, image_size: int) -> Copies:
    """Finds the images that are also among the others: the same picture, perhaps encoded anew.

    The thumbnail t of an image has 16 x 16 RGB pixels, each an average over its part of the central
    square, minus the mean of its channel. An image is a copy if its pixels equal those of another
    image, or if

        t_1 . t_2 / (|t_1| |t_2|) >= 0.98

    which another brightness, contrast, size or compression hardly changes. Smaller images have too
    few pixels to tell two of a kind apart: only equal ones are found. Mirrored, turned or cropped
    copies are not found. Only pairs whose grey thumbnails of 8 x 8 pixels correlate by at least 0.9
    are compared.

    Args:
        images: The images to search for; their thumbnails are kept in memory, 3 kB each.
        others: The images to search among, read once.
        image_size: Height and width in pixels at which pixels are equal.

    Returns:
        The copies, each with the other image that it is most like.
    """
    mine = list(_fingerprints(images, image_size))
    digests, fine, grey = (np.concatenate(arrays) for arrays in zip(*mine))
    places_of = collections.defaultdict(list)
    for place, digest in enumerate(digests):
        places_of[digest].append(place)
    best: dict[int, tuple[bool, float, int]] = {}  # place -> exact, similarity, original
    start = 0
    with counted("Near-duplicates", len(others), "images") as show:
        for other_digests, other_fine, other_grey in _fingerprints(others, image_size):
            places, columns = np.nonzero(grey @ other_grey.T >= _GREY_ALIKE)
            alike = np.einsum("nd,nd->n", fine[places], other_fine[columns])
            near = alike >= _ALIKE
            found = [
                *(
                    (p, (False, a, start + c))
                    for p, c, a in _rows(places, columns, alike, near)
                ),
                *(
                    (place, (True, 1.0, start + column))
                    for column, digest in enumerate(other_digests)
                    for place in places_of.get(digest, ())
                ),
            ]
            for place, pair in found:
                if place not in best or pair[:2] > best[place][:2]:
                    best[place] = pair
            start += len(other_digests)
            show(start)
    found_places = sorted(best)
    return Copies(
        np.array(found_places, np.int64),
        np.array([best[place][2] for place in found_places], np.int64),
        np.array([best[place][0] for place in found_places], bool),
    )


def _rows(places, columns, alike, near) -> Iterator[tuple[int, int, float]]:
    return zip(places[near].tolist(), columns[near].tolist(), alike[near].tolist())


def _fingerprints(source: ImageSource, image_size: int) -> Iterator[tuple]:
    """Of each batch: digests of the pixels `(n,)`, and thumbnails `(n, D)` and `(n, d)`."""
    for images, _ in evaluation_dataset(source, image_size, _BATCH):
        pixels = np.round(images.numpy() * 255).astype(np.uint8)
        digests = np.array([hashlib.sha256(each.tobytes()).hexdigest() for each in pixels])
        grey = tf.reduce_mean(images, axis=-1, keepdims=True)
        yield digests, _thumbnails(images, _SIDE), _thumbnails(grey, _GREY_SIDE)


def _thumbnails(images: tf.Tensor, side: int) -> np.ndarray:
    """Float32 unit vectors `(n, D)` of images `(n, S, S, C)`; 0 for images of a single colour."""
    if images.shape[1] < _SIDE:
        return np.zeros((len(images), 1), np.float32)
    small = tf.image.resize(images, (side, side), method="area").numpy()
    small -= small.mean(axis=(1, 2), keepdims=True)
    vectors = small.reshape(len(small), -1)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-3)
