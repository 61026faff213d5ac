"""`ShardSource`: images that lie one behind the other in files, read when they are needed."""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .sources import ImageSource
from .unreadable import why_undecodable

_FILES_OPEN = 128  # at most, for each loaded source; a process may have 1,024


class ShardSource(ImageSource):
    """Encoded images at known places in files.

    Takes 32 bytes of memory for each image; reading one is one read of a file.

    Args:
        files: The shards.
        shard: `(N,)`: which of them each image is in.
        offset: `(N,)`: the place of its first byte.
        length: `(N,)`: how many bytes it has.
        labels: Integers `(N,)`; -1 means none. Defaults to no labels.
        class_names: A name for each label. Defaults to none.
        name: The name used in messages.
        name_of: Of a file and the place of an image in it: the image's name for messages.

    Raises:
        ValueError: If there is not one label for each image.
    """

    def __init__(
        self,
        files: Sequence[str],
        shard: npt.ArrayLike,
        offset: npt.ArrayLike,
        length: npt.ArrayLike,
        labels: npt.ArrayLike | None = None,
        class_names: Sequence[str] = (),
        name: str = "shards",
        name_of: Callable[[str, int], str] = "{}, byte {}".format,
    ):
        self.shard = np.asarray(shard, np.int32)
        super().__init__(len(self.shard), labels, class_names, name)
        self.files = tuple(files)
        self.offset, self.length = np.asarray(offset, np.int64), np.asarray(length, np.int32)
        self._name_of = name_of
        # A file that is no longer in the cache is closed once the last thread has read from it.
        self._open = functools.lru_cache(_FILES_OPEN)(_OpenFile)

    def read(self, index):
        if not tf.executing_eagerly():
            return tf.ensure_shape(tf.numpy_function(self._content, [index], tf.string), [])
        try:
            return tf.constant(self._content(index))
        except ValueError as error:  # as in `tf.data`
            raise tf.errors.InvalidArgumentError(None, None, str(error)) from None

    def name_of(self, index: int) -> str:
        """The name of one of the images, for messages."""
        return self._name_of(self.files[self.shard[index]], int(self.offset[index]))

    def why_unreadable(self, index):
        try:
            content = self._content(index)
        except ValueError as error:
            return str(error)
        return why_undecodable(content)

    def find_unreadable(self):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            reasons = pool.map(self.why_unreadable, range(len(self)))
            return [(self.name_of(index), why) for index, why in enumerate(reasons) if why]

    def _content(self, index) -> bytes:
        """The bytes of one image; raises a `ValueError` if they cannot be read."""
        file, length = self.files[self.shard[index]], int(self.length[index])
        try:
            descriptor = self._open(file)
            content = os.pread(descriptor.number, length, int(self.offset[index]))
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror or error}") from None
        if len(content) != length:
            raise ValueError(f"{file} is shorter than when it was indexed")
        return content

    def _keep(self, indices):
        self.shard, self.offset = self.shard[indices], self.offset[indices]
        self.length = self.length[indices]


class _OpenFile:
    """A file that is open for reading while this object is in use."""

    def __init__(self, path: str):
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self, close=os.close):  # at the end of the process there may be no `os`
        if hasattr(self, "number"):  # not if it could not be opened
            close(self.number)
