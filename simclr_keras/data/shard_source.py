"""`ShardSource`: images that lie one behind the other in files, read when they are needed."""

import collections
import functools
import os
import typing
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from .. import stores
from .sources import ImageSource
from .unreadable import why_undecodable


class Reader(typing.Protocol):
    """What reads from one file, in several threads at once."""

    def read(self, offset: int, length: int) -> bytes:
        """The image at a place; a `ValueError` or `OSError` if it cannot be read."""


class FileReader:
    """A file that is open for reading while this object is in use.

    Args:
        path: The file.
    """

    def __init__(self, path: str):
        self._number = os.open(path, os.O_RDONLY)

    def read(self, offset: int, length: int) -> bytes:
        content = os.pread(self._number, length, offset)
        if len(content) != length:
            raise ValueError("the file is shorter than when it was indexed")
        return content

    def __del__(self, close=os.close):  # at the end of the process there may be no `os`
        if hasattr(self, "_number"):  # not if it could not be opened
            close(self._number)


class RemoteReader:
    """A file in a store; as many streams are open as threads have read from it at once.

    Args:
        path: The file.
    """

    def __init__(self, path: str):
        self._path = path
        self._idle = collections.deque([stores.open_file(path)])

    def read(self, offset: int, length: int) -> bytes:
        try:
            stream = self._idle.pop()
        except IndexError:
            stream = stores.open_file(self._path)
        stream.seek(offset)
        content = stream.read(length)
        self._idle.append(stream)
        if len(content) != length:
            raise ValueError("the file is shorter than when it was indexed")
        return content


def file_reader(path: str) -> Reader:
    """What reads from a file, local or remote."""
    return RemoteReader(path) if stores.is_remote(path) else FileReader(path)


def most_open_files() -> int:
    """How many shards may be open at a time: a quarter of the files that a process may have open."""
    import resource  # not on Windows

    return min(4096, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


class ShardSource(ImageSource):
    """Encoded images at known places in files.

    Takes about 30 bytes of memory for each image; reading one is one read of a file.

    Args:
        files: The shards.
        shard: `(N,)`: which of them each image is in.
        offset: `(N,)`: the place of its first byte.
        length: `(N,)`: how many bytes it has.
        labels: Integers `(N,)`; -1 means none. Defaults to no labels.
        class_names: A name for each label; `None` for numbers. Defaults to none.
        name: The name used in messages.
        name_of: Of a file and the place of an image in it: the image's name for messages.
        open_file: Of a file: what reads from it. Defaults to bytes as they lie in the file.

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
        class_names: Sequence[str] | None = (),
        name: str = "shards",
        name_of: Callable[[str, int], str] = "{}, byte {}".format,
        open_file: Callable[[str], Reader] = file_reader,
    ):
        self.shard = np.asarray(shard, np.min_scalar_type(max(len(files) - 1, 0)))
        super().__init__(len(self.shard), labels, class_names, name)
        self.files = tuple(files)
        self.offset, self.length = np.asarray(offset, np.int64), np.asarray(length, np.int32)
        self._name_of = name_of
        # A file that is no longer in the cache is closed once the last thread has read from it.
        self._open = functools.lru_cache(most_open_files())(open_file)

    def read(self, index):
        if not tf.executing_eagerly():
            return tf.ensure_shape(tf.numpy_function(self._content, [index], tf.string), [])
        try:
            return tf.constant(self._content(index))
        except ValueError as error:  # as in `tf.data`
            raise tf.errors.InvalidArgumentError(None, None, str(error)) from None

    def name_of(self, index: int) -> str:
        return self._name_of(self.files[self.shard[index]], int(self.offset[index]))

    def why_unreadable(self, index):
        try:
            content = self._content(index)
        except ValueError as error:
            return str(error)
        return why_undecodable(content)

    def _content(self, index) -> bytes:
        """The bytes of one image; raises a `ValueError` if they cannot be read."""
        file = self.files[self.shard[index]]
        try:
            return self._open(file).read(int(self.offset[index]), int(self.length[index]))
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror or error}") from None
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    def _keep(self, indices):
        self.shard, self.offset = self.shard[indices], self.offset[indices]
        self.length = self.length[indices]
