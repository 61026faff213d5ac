"""`ImageSource`: images and labels that can be read in any order."""

import concurrent.futures
import functools
import os

import numpy as np
import tensorflow as tf

from .decoding import decode_image, decode_in_pipeline, is_jpeg, jpeg_sides

_SIDES_LOOKED_AT = 32


class ImageSource:
    """Images by index: one array, or encoded bytes in memory, or files.

    Args:
        name: How messages call it.
        labels: int64 `(N,)`; -1 means none.
        class_names: A name for each label. Defaults to none.
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1: an array source; or
        encoded: bytes `(N,)`; or
        paths: N names of files in `root`. Exactly one of the three.
        root: The folder of `paths`.

    Attributes:
        places: int64 `(N,)`: the place of each image in the source that this is a subset of,
            however often; what lists of labels count by.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.data.sources import ImageSource
        >>> source = ImageSource("two", [0, -1], ("a",), images=np.zeros((2, 8, 8, 3), "uint8"))
        >>> len(source), source.has_labels, source.image_shape
        (2, True, (8, 8, 3))
    """

    def __init__(
        self,
        name: str,
        labels: np.ndarray,
        class_names: tuple[str, ...] = (),
        images: np.ndarray | None = None,
        encoded: np.ndarray | None = None,
        paths: tuple[str, ...] | None = None,
        root: str = "",
    ):
        self.name = name
        self.labels = np.asarray(labels, np.int64)
        self.class_names = tuple(class_names)
        self.images = images
        self.encoded = encoded
        self.paths = paths
        self.root = root
        self.places = np.arange(len(self.labels))
        self._tensor = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def has_labels(self) -> bool:
        """Whether any image has a label."""
        return bool((self.labels >= 0).any())

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(H, W, C) of an array source, else `None`."""
        return None if self.images is None else tuple(self.images.shape[1:])

    def subset(self, indices: np.ndarray) -> "ImageSource":
        """The source of these examples, in this order.

        Args:
            indices: integers `(n,)`, in 0..N-1.

        Returns:
            An `ImageSource` of n images.
        """
        indices = np.asarray(indices, np.int64)
        part = ImageSource(
            self.name,
            self.labels[indices],
            self.class_names,
            images=None if self.images is None else self.images[indices],
            encoded=None if self.encoded is None else self.encoded[indices],
            paths=None if self.paths is None else tuple(self.paths[i] for i in indices),
            root=self.root,
        )
        part.places = self.places[indices]
        return part

    def gather(self, indices: tf.Tensor) -> tf.Tensor:
        """Images of an array source, as stored; for use in `tf.data`.

        Args:
            indices: int64 of any shape.

        Returns:
            `indices.shape + (H, W, C)`.
        """
        return tf.gather(self._in_memory(), indices)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """One image as stored; for use in `tf.data`.

        Args:
            index: int64 scalar (of any shape, for an array source).

        Returns:
            `(H, W, C)` of an array source, else the encoded file, a string scalar.
        """
        if self.images is not None:
            return self.gather(index)
        stored = tf.gather(self._in_memory(), index)
        return stored if self.paths is None else tf.io.read_file(stored)

    def load(self, index: tf.Tensor, least_side: int | None = None) -> tf.Tensor:
        """One image; for use in `tf.data`.

        Args:
            index: int64 scalar (of any shape, for an array source).
            least_side: As for `decoding.decode_image`.

        Returns:
            `(H, W, C)`; decoded images are uint8 and RGB.
        """
        image = self.read(index)
        return image if self.images is not None else decode_in_pipeline(image, least_side)

    @functools.cached_property
    def typical_side(self) -> int | None:
        """The median of the shorter sides of some JPEGs, spread over the source, in pixels.

        `None` of a source that is an array or has no JPEG there. No image is decoded.
        """
        if self.images is not None or not len(self):
            return None
        sides = []
        for index in np.unique(np.linspace(0, len(self) - 1, _SIDES_LOOKED_AT).astype(int)):
            try:
                content = self.read(int(index))
                if is_jpeg(content):
                    sides.append(int(tf.reduce_min(jpeg_sides(content))))
            except tf.errors.OpError:  # broken: found where it is decoded
                continue
        return int(np.median(sides)) if sides else None

    def find_unreadable(self) -> list[tuple[str, str]]:
        """See the function `find_unreadable`."""
        return find_unreadable(self)

    @tf.autograph.experimental.do_not_convert
    def _in_memory(self) -> tf.Tensor:
        """The array, bytes or file names as a tensor of the host."""
        # Datasets capture an eager tensor; an array would be copied into their graphs.
        if self._tensor is None:
            values = self.images if self.images is not None else self.encoded
            if self.paths is not None:
                values = [os.fsencode(os.path.join(self.root, p)) for p in self.paths]
            with tf.init_scope(), tf.device("CPU"):
                self._tensor = tf.constant(values)
        return self._tensor


def find_unreadable(source: ImageSource) -> list[tuple[str, str]]:
    """Decodes every file of a source in full: names the culprit after a failure.

    Args:
        source: Where the images are. Only files can be unreadable.

    Returns:
        (path, reason) of those that cannot be read, in the source's order.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.data.sources import find_unreadable, source_from_arrays
        >>> find_unreadable(source_from_arrays(np.zeros((2, 8, 8, 3), "uint8")))
        []
    """
    paths = source.paths or ()
    files = (os.path.join(source.root, path) for path in paths)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = pool.map(why_unreadable, files)
        return [(path, why) for path, why in zip(paths, reasons, strict=True) if why]


def why_unreadable(file: str) -> str | None:
    """Decodes a file in full.

    Args:
        file: Its path.

    Returns:
        Why it cannot be read, in a few words; `None` if it can.
    """
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except OSError as error:
        return error.strerror or str(error)
    if not content:
        return "empty file"
    if not content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")):
        return "not a JPEG, PNG, GIF or BMP image"
    try:
        decode_image(tf.constant(content))
    except tf.errors.OpError:
        return "damaged, cut off, or of a kind that TensorFlow does not decode"
    return None


def source_from_arrays(images: np.ndarray, labels: np.ndarray | None = None) -> ImageSource:
    """A source of images in memory.

    Args:
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1.
        labels: integers `(N,)`; -1 means none. Defaults to no labels.

    Returns:
        An `ImageSource`; classes are called "0", "1", ...

    Raises:
        ValueError: If a shape or dtype is another.

    Example:
        >>> import numpy as np
        >>> from simclr_keras.data.sources import source_from_arrays
        >>> source_from_arrays(np.zeros((2, 8, 8, 3), "uint8"), [0, 2]).class_names
        ('0', '1', '2')
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise ValueError(
            f"`images` must have the shape (N, H, W, C). Received: images.shape={images.shape}"
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            "`images` must be uint8 in 0-255 or floating-point in 0-1. "
            f"Received: images.dtype={images.dtype}"
        )
    labels = np.full(len(images), -1) if labels is None else np.asarray(labels)
    if labels.shape != (len(images),):
        raise ValueError(
            f"`labels` must have the shape ({len(images)},), one for each image. "
            f"Received: labels.shape={labels.shape}"
        )
    names = tuple(str(k) for k in range(int(labels.max(initial=-1)) + 1))
    return ImageSource("arrays", labels, names, images=images)
