"""Indexes shards: finds where each image is, in parallel, once; and keeps what was found."""

import array
import concurrent.futures
import dataclasses
import json
import logging
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from ..progress import counted
from ..stores import absolute, stamp
from .kept_files import kept_file, write_arrays
from .shard_source import Reader, ShardSource, file_reader
from .sources import ImageSource
from .unreadable import refuse_or_skip

_LOGGER = logging.getLogger("simclr_keras")
_FORMAT = 2  # of the files; another number when they change


@dataclasses.dataclass(frozen=True)
class Shard:
    """What is in one file.

    Attributes:
        offset: int64 `(n,)`: the first byte of each image.
        length: int32 `(n,)`: its bytes; -1 for what cannot be read.
        label: int64 `(n,)`: its label, -1 for none.
        damage: What cannot be read, as a text for people each; by number, counted from 0.
    """

    offset: np.ndarray
    length: np.ndarray
    label: np.ndarray
    damage: Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """Where the images of some shards are, in the order of their source.

    Attributes:
        shard: int32 `(N,)`: the number of the file that each image is in.
        offset: int64 `(N,)`: its first byte.
        length: int32 `(N,)`: its bytes; -1 for what cannot be read.
        label: int32 `(N,)`: its label, -1 for none.
        damage: What cannot be read, as a text for people each.
    """

    shard: np.ndarray
    offset: np.ndarray
    length: np.ndarray
    label: np.ndarray
    damage: tuple[str, ...]

    def source(
        self,
        files: Sequence[str],
        class_names: Sequence[str] | None,
        name: str,
        name_of: Callable[[str, int], str],
        skip_unreadable: bool,
        open_file: Callable[[str], Reader] = file_reader,
    ) -> ImageSource:
        """A source of the images that can be read; `places` count the others too.

        Args:
            files: The shards.
            class_names: A name for each label; `None` for numbers.
            name: The name used in messages.
            name_of: See `ShardSource`.
            skip_unreadable: Skip the others instead of raising an `InputError`.
            open_file: See `ShardSource`.

        Raises:
            InputError: If some cannot be read, or none can.
        """
        source = ShardSource(
            files,
            self.shard,
            self.offset,
            self.length,
            self.label,
            class_names,
            name,
            name_of,
            open_file,
        )
        if not self.damage:
            return source
        readable = np.flatnonzero(self.length >= 0)
        refuse_or_skip(
            self.damage, len(source) - len(readable), len(source), name, skip_unreadable
        )
        part = source.subset(readable)
        part.skipped = self.damage
        return part


def kept_index(
    files: Sequence[str],
    name: str,
    index_one: Callable[[int], Shard],
    order: Callable[[Sequence[int]], np.ndarray] | None = None,
    settings: Sequence[str] = (),
) -> ShardIndex:
    """The index of some shards: the one kept from before, if the files are the same, or a new one.

    Args:
        files: The shards.
        name: The name of the data, for messages and the file that the index is kept in.
        index_one: Of the number of a shard: what is in it. Called in threads.
        order: Of the number of images in each shard: the order in which a source has them. Defaults
            to shard by shard.
        settings: What else decides what is found.

    Returns:
        The index.
    """
    stamps = [stamp(file) for file in files]
    decides = json.dumps([_FORMAT, *settings, *map(absolute, files)])
    kept = kept_file(name, decides)
    found, is_stale = _read(kept, stamps)
    if found is not None:
        return found
    size = sum(max(size, 0) for size, _ in stamps) / 2**20
    again = "again, because they have changed" if is_stale else "which is done once"
    _LOGGER.info(
        "Indexing the %d shard(s) of %s (%s MiB), %s.", len(files), name, f"{size:,.0f}", again
    )
    with (
        counted(f"Indexing {name}", len(files), "shards") as show,
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        index = _joined(pool.map(index_one, range(len(files))), files, order, show)
    try:
        _write(kept, index, stamps)
    except OSError as error:
        _LOGGER.warning("The index of %s cannot be kept in %s: %s.", name, kept.parent, error)
    return index


def _joined(shards: Iterable[Shard], files: Sequence[str], order, show) -> ShardIndex:
    """One index of all shards, which are dropped one by one: memory is for one copy of all."""
    offset, length, label = array.array("q"), array.array("i"), array.array("i")
    counts: list[int] = []
    damage: list[str] = []
    for file, shard in zip(files, shards):
        offset.frombytes(np.asarray(shard.offset, np.int64).tobytes())
        length.frombytes(np.asarray(shard.length, np.int32).tobytes())
        label.frombytes(np.asarray(shard.label, np.int32).tobytes())
        counts.append(len(shard.offset))
        texts = (text for _, text in sorted(shard.damage.items()))
        damage.extend(f"{os.path.basename(file)}, {text}" for text in texts)
        show(len(counts))
    taken = slice(None) if order is None else order(counts)
    return ShardIndex(
        np.repeat(np.arange(len(counts), dtype=np.int32), counts)[taken],
        np.frombuffer(offset, np.int64)[taken],
        np.frombuffer(length, np.int32)[taken],
        np.frombuffer(label, np.int32)[taken],
        tuple(damage),
    )


def _write(path: pathlib.Path, index: ShardIndex, stamps: list[tuple[int, int]]) -> None:
    write_arrays(
        path,
        stamps=np.array(stamps, np.int64),
        shard=index.shard,
        offset=index.offset,
        length=index.length,
        label=index.label,
        damage=np.frombuffer(json.dumps(index.damage).encode(), np.uint8),
    )


def _read(path: pathlib.Path, stamps: list[tuple[int, int]]) -> tuple[ShardIndex | None, bool]:
    """The index in a file, if it is that of files with these stamps; whether there is another."""
    try:
        with np.load(path) as file:
            if file["stamps"].tolist() != [list(stamp) for stamp in stamps]:
                return None, True
            damage = tuple(json.loads(file["damage"].tobytes()))
            return (
                ShardIndex(
                    shard=file["shard"],
                    offset=file["offset"],
                    length=file["length"],
                    label=file["label"],
                    damage=damage,
                ),
                False,
            )
    except FileNotFoundError:
        return None, False
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # not written by `_write`
        return None, True
