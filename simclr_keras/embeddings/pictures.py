"""`Pictures`: pictures of embedded images, and of nothing outside their folder."""

import logging
import os
import pathlib

import tensorflow as tf

from .. import stores
from ..data.decoding import decode_image
from ..data.images import resize_and_center_crop
from ..data.listing import is_special
from .file import EmbeddingsInfo

_LOGGER = logging.getLogger("simclr_keras")
_SIDE = 128  # height and width of a thumbnail in pixels


class Pictures:
    """Pictures of the images that a file of embeddings names.

    Names come from a file that may be anyone's: a name that leads outside the folder, or to a
    pipe or a device, has no picture.

    Args:
        info: The file's names and the folder that they are relative to.
        images: The folder instead of the file's own.
    """

    def __init__(self, info: EmbeddingsInfo, images: str | os.PathLike[str] | None = None):
        self.is_of_files = bool(info.root or images)
        self.root = images or info.root
        self._thumbnails: dict[str, bytes | None] = {}
        self._warned = False

    def thumbnail(self, name: str, is_file: bool = False) -> bytes | None:
        """A JPEG of an embedded image (or of an image file); `None` if it cannot be read.

        Each is decoded once.
        """
        key = name if is_file else os.path.join(self.root, name)
        if key not in self._thumbnails:
            image = self.square(name, _SIDE, is_file)
            self._thumbnails[key] = None if image is None else encode_picture(image)
        return self._thumbnails[key]

    def square(self, name: str, side: int, is_file: bool = False) -> tf.Tensor | None:
        """The central square of an embedded image (or of an image file), resized.

        Args:
            name: Its name among the embeddings.
            side: S, height and width in pixels.
            is_file: The name is a path that a person gave, which may lead anywhere.

        Returns:
            float `(S, S, 3)` in [0, 1]; `None` if the image cannot be read or shown.
        """
        if not (is_file or self.is_of_files):
            return None
        path = name if is_file else os.path.join(self.root, name)
        if not is_file and not self._is_inside(path):
            return None
        try:
            image = decode_image(tf.io.read_file(os.fsencode(path)), side)
        except tf.errors.OpError:
            return None
        return resize_and_center_crop(image, side)

    def _is_inside(self, path: str) -> bool:
        """Whether the file of a name is an ordinary one in the folder."""
        if "\0" in path:
            return False
        root = os.path.abspath(self.root)
        if os.path.commonpath([root, os.path.abspath(path)]) == root:
            return stores.is_remote(path) or not is_special(pathlib.Path(path))
        if not self._warned:
            self._warned = True
            _LOGGER.warning(
                "No pictures of images outside %s, such as %s: name the folder that they may come "
                "from with `images`.",
                root,
                path,
            )
        return False


def encode_picture(image: tf.Tensor, quality: int = 95) -> bytes:
    """Encodes a picture for a page.

    Args:
        image: float `(H, W, C)` in [0, 1]; unless C is 3, only the first channel is shown.
        quality: Of the JPEG, up to 100.

    Returns:
        A JPEG.
    """
    image = image if image.shape[-1] == 3 else image[..., :1]
    pixels = tf.image.convert_image_dtype(image, tf.uint8, saturate=True)
    return tf.io.encode_jpeg(pixels, quality=quality).numpy()
