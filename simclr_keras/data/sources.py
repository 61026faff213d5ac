"""Image sources: images and labels that can be read in any order."""

import abc
import concurrent.futures
import copy
import functools
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..errors import InputError
from .decoding import decode_in_pipeline, is_jpeg, jpeg_sides
from .unreadable import why_undecodable

_SIDES_LOOKED_AT = 32


class ImageSource(abc.ABC):
    """Images with labels, read by index: an array, encoded images in memory, or files.

    `load_source` returns one; `fine_tune`, `distill` and the probes accept one or an array.
    The kinds are `ArraySource`, `EncodedSource` and `FileSource`, and what `load_source` makes of
    images in shards (`ShardSource`).

    Attributes:
        name: The name used in messages.
        labels: int64 `(N,)`; -1 means none.
        class_names: A name for each label.
        places: int64 `(N,)`: the index of each image in the original source, even after several
            `subset` calls; lists of labels use these indices.
        skipped: What could not be read in shards and was left out, as texts for people.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.load_source("digits", "train")
        >>> isinstance(source, sk.ImageSource), len(source.subset([3, 1, 4]))
        (True, 3)

    Reference:
        Random access by index, as in https://github.com/google/grain, data sources.
    """

    def __init__(
        self,
        count: int,
        labels: npt.ArrayLike | None,
        class_names: Sequence[str] | None,
        name: str,
    ):
        labels = np.asarray(np.full(count, -1) if labels is None else labels)
        if labels.shape != (count,):
            raise ValueError(
                f"`labels` must have the shape ({count},), one for each image. "
                f"Received: labels.shape={labels.shape}"
            )
        if class_names is None:
            class_names = [str(k) for k in range(int(labels.max(initial=-1)) + 1)]
        self.name = name
        self.labels = labels.astype(np.int64)
        self.class_names = tuple(class_names)
        self.skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """The index of each image in the original source."""
        return np.arange(len(self))

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """(H, W, C), if all images share one shape."""
        return None

    @property
    def channels(self) -> int:
        """C; encoded images are decoded to RGB."""
        return 3

    @property
    def has_labels(self) -> bool:
        """Whether any image has a label."""
        return bool((self.labels >= 0).any())

    def subset(self, indices: npt.ArrayLike) -> "ImageSource":
        """A source of the images at `indices`, in this order.

        Args:
            indices: Integers `(n,)`, in 0..N-1.

        Returns:
            A source of n images, of the same kind.
        """
        kept = np.asarray(indices, np.int64)
        part = copy.copy(self)
        part.labels, part.places = self.labels[kept], self.places[kept]
        part._keep(kept)
        return part

    def with_labels(self, labels: npt.ArrayLike, class_names: Sequence[str]) -> "ImageSource":
        """The same images with other labels.

        Args:
            labels: Integers `(N,)`; -1 means none.
            class_names: A name for each label.

        Returns:
            A source of the same kind.
        """
        other = copy.copy(self)
        other.labels, other.class_names = np.asarray(labels, np.int64), tuple(class_names)
        return other

    @abc.abstractmethod
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """One image as stored; for use in `tf.data`.

        Args:
            index: int64 scalar; of any shape if `image_shape` is known.

        Returns:
            The encoded image, a string scalar; for an array source, `index.shape + (H, W, C)`.
        """

    def load(self, index: tf.Tensor, least_side: int | None = None) -> tf.Tensor:
        """One image, decoded; for use in `tf.data`.

        Args:
            index: As for `read`.
            least_side: For images that are downscaled afterwards: a JPEG may be decoded at a
                reduced scale that leaves its shorter side at least this many pixels. Defaults
                to full scale.

        Returns:
            uint8 RGB `(H, W, 3)`; for an array source, `index.shape + (H, W, C)` as stored.
        """
        return decode_in_pipeline(self.read(index), least_side)

    def typical_side(self) -> int | None:
        """The median shorter side, in pixels, of a sample of JPEGs spread over the source.

        `None` for an array source, or if the sample has no JPEG. No image is decoded.
        """
        sides = []
        for index in np.unique(np.linspace(0, len(self) - 1, _SIDES_LOOKED_AT).astype(int)):
            try:
                content = self.read(int(index))
                if is_jpeg(content):
                    sides.append(int(tf.reduce_min(jpeg_sides(content))))
            except tf.errors.OpError:  # broken: reported when it is decoded
                continue
        return int(np.median(sides)) if sides else None

    def why_unreadable(self, index: int) -> str | None:
        """The reason why one image cannot be read, in a few words; `None` if it can."""
        return None

    def name_of(self, index: int) -> str:
        """The name of one of the images for messages: the path of a file."""
        return f"image {self.places[index]}"

    def find_unreadable(self, indices: npt.ArrayLike | None = None) -> dict[int, str]:
        """Decodes images in full, in threads, to find the cause of a failure.

        Args:
            indices: The images to decode. Defaults to all.

        Returns:
            Index -> the reason, of each image that cannot be read, in the order of the indices.
        """
        indices = range(len(self)) if indices is None else np.asarray(indices).tolist()
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            reasons = pool.map(self.why_unreadable, indices)
            return {index: why for index, why in zip(indices, reasons) if why}

    @abc.abstractmethod
    def _keep(self, indices: np.ndarray) -> None:
        """Drops all stored images but these."""


class _TensorSource(ImageSource):
    """A source whose array or encoded images are one tensor."""

    _tensor: tf.Tensor | None = None

    def subset(self, indices):
        part = super().subset(indices)
        part._tensor = None
        return part

    def read(self, index):
        return tf.gather(self._in_memory(), index)

    @abc.abstractmethod
    def _stored(self) -> Sequence:
        """The array or the encoded images."""

    @tf.autograph.experimental.do_not_convert
    def _in_memory(self) -> tf.Tensor:
        """The stored images as a tensor on the host."""
        # Datasets capture an eager tensor; an array would be copied into their graphs.
        if self._tensor is None:
            with tf.init_scope(), tf.device("CPU"):
                self._tensor = tf.constant(self._stored())
        return self._tensor


class ArraySource(_TensorSource):
    """Images of one shape, in memory.

    Args:
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1.
        labels: Integers `(N,)`; -1 means none. Defaults to no labels.
        class_names: A name for each label. Defaults to "0", "1", ...
        name: The name used in messages.

    Raises:
        ValueError: If a shape or dtype is not supported.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> source = sk.ArraySource(np.zeros((2, 8, 8, 3), "uint8"), [0, -1])
        >>> len(source), source.image_shape, source.class_names
        (2, (8, 8, 3), ('0',))

    Reference:
        See `ImageSource`.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        name: str = "arrays",
    ):
        images = np.asarray(images)
        if images.ndim != 4:
            raise ValueError(
                "`images` must have the shape (N, H, W, C). Received: "
                f"images.shape={images.shape}"
            )
        if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
            raise ValueError(
                "`images` must be uint8 in 0-255 or floating-point in 0-1. "
                f"Received: images.dtype={images.dtype}"
            )
        super().__init__(len(images), labels, class_names, name)
        self.images = images

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self.images.shape[1:])

    @property
    def channels(self) -> int:
        return self.images.shape[-1]

    def load(self, index: tf.Tensor, least_side: int | None = None) -> tf.Tensor:
        return self.read(index)

    def typical_side(self) -> None:
        return None

    def _keep(self, indices):
        self.images = self.images[indices]

    def _stored(self):
        return self.images


class EncodedSource(_TensorSource):
    """Encoded images of any size, in memory.

    Args:
        encoded: N images as bytes: JPEG, PNG, GIF, BMP or WebP.
        labels: Integers `(N,)`; -1 means none. Defaults to no labels.
        class_names: A name for each label. Defaults to none.
        name: The name used in messages.

    Raises:
        ValueError: If there is not one label for each image.

    Example:
        >>> import simclr_keras as sk
        >>> import tensorflow as tf
        >>> png = tf.io.encode_png(tf.zeros((4, 6, 3), tf.uint8)).numpy()
        >>> tuple(sk.EncodedSource([png]).load(0).shape)
        (4, 6, 3)

    Reference:
        See `ImageSource`.
    """

    def __init__(
        self,
        encoded: Sequence[bytes],
        labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] = (),
        name: str = "encoded images",
    ):
        super().__init__(len(encoded), labels, class_names, name)
        self.encoded = np.asarray(encoded, object)  # NumPy's bytes dtype strips trailing zeros

    def why_unreadable(self, index: int) -> str | None:
        return why_undecodable(self.encoded[index])

    def _keep(self, indices):
        self.encoded = self.encoded[indices]

    def _stored(self):
        return self.encoded


def as_source(
    images: np.ndarray | tf.data.Dataset | ImageSource, labels: npt.ArrayLike | None = None
) -> ImageSource:
    """Converts images in any form that evaluation accepts to a source.

    Args:
        images: `(N, H, W, C)`; or a `tf.data.Dataset` of batches of images or (images, labels),
            which is read into memory; or a source.
        labels: Integers `(N,)`, -1 for none; only with an array.

    Returns:
        The source.

    Raises:
        InputError: If `labels` are given with a dataset or a source, or there are no images.
        ValueError: If a shape or dtype is not supported; see `ArraySource`.
    """
    if isinstance(images, (ImageSource, tf.data.Dataset)):
        if labels is not None:
            raise InputError(
                "Labels belong in the dataset. Received: a dataset and `labels` beside it"
            )
        if isinstance(images, ImageSource):
            return images
        batches = list(images.as_numpy_iterator())
        if not batches:
            raise InputError("The dataset has no images. Received: an empty dataset")
        if isinstance(batches[0], tuple):
            labels = np.concatenate([batch[1].reshape(-1) for batch in batches])
            batches = [batch[0] for batch in batches]
        images = np.concatenate(batches)
    return ArraySource(images, labels)
