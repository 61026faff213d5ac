"""`PathList`: the paths of millions of files in little memory."""

import array
import functools
import os
import typing
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

_BLOCK = 2**12  # bytes, as many as the longest path


class PathList(Sequence[str]):
    """Paths, each of which takes 12 bytes beside its characters; a Python string takes 60.

    Lists that `take` makes share the characters.

    Args:
        text: The characters of all paths, as the file system encodes them.
        starts: int64 `(N,)`: where each begins.
        lengths: int32 `(N,)`: how many bytes it has.
    """

    def __init__(self, text: "_Text", starts: np.ndarray, lengths: np.ndarray):
        self._text, self._starts, self._lengths = text, starts, lengths
        self._places: tuple[tf.Tensor, tf.Tensor] | None = None

    @classmethod
    def of(cls, paths: Iterable[str]) -> "PathList":
        """A list of paths."""
        if isinstance(paths, PathList):
            return paths
        return cls.joined(map(os.fsencode, paths))

    @classmethod
    def joined(cls, paths: Iterable[bytes]) -> "PathList":
        """A list of encoded paths."""
        blocks, rest, size = [], bytearray(), 0
        starts, lengths = array.array("q"), array.array("i")
        for path in paths:
            starts.append(size)
            lengths.append(len(path))
            size += len(path)
            rest += path
            while len(rest) >= _BLOCK:
                blocks.append(bytes(rest[:_BLOCK]))
                del rest[:_BLOCK]
        return cls(
            _Text([*blocks, bytes(rest), b""]),
            np.frombuffer(starts, np.int64),
            np.frombuffer(lengths, np.int32),
        )

    def __len__(self) -> int:
        return len(self._starts)

    @typing.overload
    def __getitem__(self, index: int) -> str: ...
    @typing.overload
    def __getitem__(self, index: slice) -> "PathList": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        block, start = divmod(int(self._starts[index]), _BLOCK)
        length = int(self._lengths[index])
        path = self._text.blocks[block][start : start + length]
        if len(path) < length:  # it goes on in the next block
            path += self._text.blocks[block + 1][: length - len(path)]
        return os.fsdecode(path)

    def __iter__(self) -> Iterator[str]:
        return map(self.__getitem__, range(len(self)))

    def buffers(self) -> Iterator[bytes | np.ndarray]:
        """All that tells the list from another."""
        yield from self._text.blocks
        yield from (self._starts, self._lengths)

    def take(self, indices: np.ndarray) -> "PathList":
        """The paths at some indices, in this order."""
        return PathList(self._text, self._starts[indices], self._lengths[indices])

    @tf.autograph.experimental.do_not_convert
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """The encoded path at an index, a string scalar; for use in `tf.data`."""
        if self._places is None:
            # Datasets capture an eager tensor; an array would be copied into their graphs.
            with tf.init_scope(), tf.device("CPU"):
                self._places = tf.constant(self._starts), tf.constant(self._lengths)
            # The same memory from now on.
            self._starts, self._lengths = (
                np.asarray(memoryview(places)) for places in self._places
            )
        start, length = (tf.gather(places, index) for places in self._places)
        # Most paths lie in one block; the others are completed by the next.
        block = tf.strings.reduce_join(tf.gather(self._text.tensor, start // _BLOCK + [0, 1]))
        return tf.strings.substr(block, start % _BLOCK, tf.cast(length, tf.int64))


class _Text:
    """The characters of paths, also as a tensor once that is needed.

    Args:
        blocks: The characters in blocks of one size, the last one shorter, and an empty block.
    """

    def __init__(self, blocks: list[bytes]):
        self.blocks = blocks

    @functools.cached_property
    def tensor(self) -> tf.Tensor:
        """The blocks."""
        with tf.init_scope(), tf.device("CPU"):
            return tf.constant(self.blocks)
