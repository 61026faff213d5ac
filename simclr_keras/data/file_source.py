"""`FileSource`: image files, read when they are needed."""

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .. import stores
from .paths import PathList
from .sources import ImageSource
from .unreadable import why_unreadable


class FileSource(ImageSource):
    """Image files, read when they are needed.

    Args:
        paths: N file names: JPEG, PNG, GIF, BMP or WebP.
        labels: Integers `(N,)`; -1 means none. Defaults to no labels.
        class_names: A name for each label. Defaults to none.
        root: The folder that `paths` are relative to. Defaults to the current one.
        name: The name used in messages. Defaults to `root`.
        sizes: The bytes of each file, `(N,)`. Defaults to what the files have when asked.

    Raises:
        ValueError: If there is not one label for each image.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.FileSource(["a.jpg", "b/c.jpg"], [0, 1], ("a", "b"), root="photos")
        >>> source.subset([1]).paths
        ('b/c.jpg',)

    Reference:
        See `ImageSource`.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] = (),
        root: str = "",
        name: str | None = None,
        sizes: np.ndarray | None = None,
    ):
        super().__init__(len(paths), labels, class_names, name or root or "files")
        if root and not isinstance(paths, PathList) and any(map(os.path.isabs, paths)):
            paths, root = [os.path.join(root, path) for path in paths], ""
        self.names, self.root, self._sizes = PathList.of(paths), root, sizes

    @property
    def paths(self) -> tuple[str, ...]:
        """The file names; of millions of files, use `names`, which takes less memory."""
        return tuple(self.names)

    def file(self, index: int) -> str:
        """The path of one of the images."""
        return stores.join(self.root, self.names[index])

    @property
    def sizes(self) -> np.ndarray:
        """int64 `(N,)`: the bytes of each file; -1 for one that has vanished."""
        if self._sizes is not None:
            return self._sizes
        files = map(self.file, range(len(self)))
        return np.fromiter((stores.stamp(file)[0] for file in files), np.int64, len(self))

    def size(self, index: int) -> int:
        """The bytes of one of the images.

        Raises:
            OSError: If there is no such file.
        """
        return stores.size(self.file(index)) if self._sizes is None else int(self._sizes[index])

    @tf.autograph.experimental.do_not_convert
    def read(self, index: tf.Tensor) -> tf.Tensor:
        folder = os.fsencode(stores.join(self.root, "")) if self.root else b""
        return tf.io.read_file(tf.strings.join([folder, self.names.read(index)]))

    def why_unreadable(self, index: int) -> str | None:
        return why_unreadable(self.file(index))

    def name_of(self, index: int) -> str:
        return self.names[index]

    def _keep(self, indices):
        self.names = self.names.take(indices)
        if self._sizes is not None:
            self._sizes = self._sizes[indices]
