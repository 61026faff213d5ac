"""Lists a folder of images, in parallel, and keeps what was found: millions of files are looked at once.

The time of a folder changes when something in it is added, removed or renamed. A folder whose time is as
it was is neither listed again, nor are its files opened.
"""

import bisect
import collections
import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import stat
import time
from collections.abc import Iterator, Mapping

import numpy as np

from .. import stores
from ..errors import InputError
from .paths import PathList
from .unreadable import START_BYTES, looks_complete

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_THREADS = 16  # more than there are cores: they wait for a disk or a store
_AT_A_TIME = 512  # files
_RECENT = 2 * 10**9  # nanoseconds in which a folder may change twice without another time


@dataclasses.dataclass
class Folder:
    """What is in one folder and not hidden, without what is in its sub-folders.

    Attributes:
        time: Of its last change, in nanoseconds; -1 if it may change again without another time.
        folders: Names of sub-folders.
        links: Names of links to folders.
        others: Names of files without the suffix of an image.
        special: Names of pipes, sockets and devices with such a suffix.
        images: Encoded names of images, in the order of the decoded ones, with a NUL after each.
        sizes: int64 `(n,)`: bytes of each image; -1 for those that were not looked at.
        is_good: bool `(n,)`: whether each is known to be readable.
    """

    time: int
    folders: list[str]
    links: list[str]
    others: list[str]
    special: list[str]
    images: bytes
    sizes: np.ndarray
    is_good: np.ndarray

    @classmethod
    def of(cls, time: int, images: list[str], **names: list[str]) -> "Folder":
        """A folder whose images were not looked at."""
        images.sort()
        joined = bytearray()
        for name in images:
            joined += os.fsencode(name) + b"\0"
        sizes, is_good = np.full(len(images), -1, np.int64), np.zeros(len(images), bool)
        return cls(time, images=bytes(joined), sizes=sizes, is_good=is_good, **names)

    def names(self) -> list[bytes]:
        """The encoded names of the images."""
        return self.images.split(b"\0")[:-1]


class Listing:
    """The images below a folder, sorted by path.

    Args:
        root: The folder.
        folders: What is in it and in each sub-folder, by path within it.
        links: Links to folders -> whether they were followed.
        closed: Sub-folders that cannot be read -> why.
    """

    def __init__(
        self,
        root: str,
        folders: dict[str, Folder],
        links: dict[str, bool],
        closed: dict[str, str],
    ):
        self.root, self.folders, self.links, self.closed = root, folders, links, closed
        self._runs = list(self._find_runs(""))

    def __len__(self) -> int:
        return sum(last - first for _, first, last in self._runs)

    @functools.cached_property
    def paths(self) -> PathList:
        """The path of each image within the folder."""
        return PathList.joined(
            os.path.join(os.fsencode(prefix), name)
            for prefix, first, last in self._runs
            for name in self.folders[prefix].names()[first:last]
        )

    def _find_runs(self, prefix: str) -> Iterator[tuple[str, int, int]]:
        """Yields (folder, first, last): images of a folder that follow each other."""
        folder, first = self.folders[prefix], 0
        below = {name: os.path.join(prefix, name) for name in (*folder.folders, *folder.links)}
        below = {name: path for name, path in below.items() if path in self.folders}
        names = [os.fsdecode(name) for name in folder.names()] if below else []
        for name in sorted(below):
            last = bisect.bisect_left(names, name)
            if last > first:
                yield prefix, first, last
            yield from self._find_runs(below[name])
            first = last
        if first < len(folder.sizes):
            yield prefix, first, len(folder.sizes)

    @property
    def classes(self) -> list[str]:
        """The sorted names of the sub-folders that hold images, at any depth."""
        return sorted({_top(prefix) for prefix, _, _ in self._runs if prefix})

    def labels(self, class_names: list[str]) -> np.ndarray:
        """int64 `(N,)`: the number of the class of each image; -1 outside sub-folders."""
        numbers = {name: number for number, name in enumerate(class_names)}
        values = [numbers[_top(prefix)] if prefix else -1 for prefix, _, _ in self._runs]
        return np.repeat(np.array(values, np.int64), [last - at for _, at, last in self._runs])

    def sizes(self) -> np.ndarray:
        """int64 `(N,)`: see `Folder`."""
        return self._joined("sizes", np.int64)

    def is_good(self) -> np.ndarray:
        """bool `(N,)`: see `Folder`."""
        return self._joined("is_good", bool)

    def set_good(self, is_good: np.ndarray) -> None:
        """Writes down which images are known to be readable."""
        place = 0
        for prefix, first, last in self._runs:
            self.folders[prefix].is_good[first:last] = is_good[place : place + last - first]
            place += last - first

    def _joined(self, name: str, kind) -> np.ndarray:
        parts = [getattr(self.folders[prefix], name)[a:b] for prefix, a, b in self._runs]
        return np.concatenate([np.empty(0, kind), *parts])

    def others(self, name: str) -> set[str]:
        """The paths of what is no image: `others`, `special`, `folders` or `links`."""
        return {
            os.path.join(prefix, other)
            for prefix, folder in self.folders.items()
            for other in getattr(folder, name)
        }

    def look_at_files(self, before: Mapping[str, Folder]) -> None:
        """Finds the sizes of all images, and which of them begin and end like complete ones.

        Args:
            before: The folders as they were when their files were last looked at. A file of the same
                name and size in a folder that has changed counts as the same.
        """
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            waiting = collections.deque[tuple]()
            for prefix, folder in self.folders.items():
                unknown = np.flatnonzero(folder.sizes < 0)
                if not len(unknown):
                    continue
                names, sizes = folder.names(), _sizes_by_name(before.get(prefix))
                for first in range(0, len(unknown), _AT_A_TIME):
                    places = unknown[first : first + _AT_A_TIME]
                    some = [names[place] for place in places]
                    asked = self.root, prefix, some, [sizes.get(name, -1) for name in some]
                    waiting.append((folder, places, pool.submit(_look, *asked)))
                    if len(waiting) > 4 * _THREADS:
                        _take(*waiting.popleft())
            for each in waiting:
                _take(*each)


def list_folder(root: str, before: Mapping[str, Folder], skip_closed: bool = False) -> Listing:
    """Lists a folder with all sub-folders.

    Links to folders are followed last, so that a folder that is also linked to keeps its name.

    Args:
        root: The folder, local or remote.
        before: What is kept from before; folders that have not changed since are not listed again.
        skip_closed: Go on if a sub-folder cannot be read.

    Raises:
        InputError: If a folder cannot be read.
    """
    found: dict[str, Folder] = {}
    followed: dict[str, bool] = {}
    closed: dict[str, str] = {}
    links, seen = collections.deque[str](), set()
    list_one = _list_remote if stores.is_remote(root) else _list_local

    def list_or_say_why(prefix: str) -> Folder | str:
        try:
            return list_one(root, prefix, before.get(prefix))
        except InputError as error:
            if not skip_closed or not prefix:
                raise
            return str(error.__cause__)

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        folders = [""]
        while folders or links:
            is_link = not folders
            folders, asked = [], folders or [links.popleft()]
            new = []
            for prefix in asked:
                path = stores.join(root, prefix)
                real = path if stores.is_remote(root) else os.path.realpath(path)
                is_new = real not in seen  # a link to a parent folder would recurse forever
                if is_link:
                    followed[prefix] = is_new
                if is_new:
                    seen.add(real)
                    new.append(prefix)
            for prefix, folder in zip(new, pool.map(list_or_say_why, new)):
                if isinstance(folder, str):
                    closed[prefix] = folder
                    continue
                found[prefix] = folder
                folders += [os.path.join(prefix, name) for name in folder.folders]
                links.extend(os.path.join(prefix, name) for name in folder.links)
    return Listing(root, found, followed, closed)


def _list_local(root: str, prefix: str, known: Folder | None) -> Folder:
    path = os.path.join(root, prefix)
    names: dict[str, list[str]] = {k: [] for k in ("folders", "links", "others", "special")}
    images = []
    try:
        changed = os.stat(path).st_mtime_ns
        if known is not None and known.time == changed:
            return known
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name[0] == ".":
                    continue
                if is_folder_entry(entry):
                    names["links" if entry.is_symlink() else "folders"].append(entry.name)
                elif not entry.name.lower().endswith(IMAGE_SUFFIXES):
                    names["others"].append(entry.name)
                elif is_special(entry):
                    names["special"].append(entry.name)
                else:
                    images.append(entry.name)
    except OSError as error:
        raise InputError(
            f"The folder {path.rstrip(os.sep)} cannot be read: {error.strerror}. Its images would be "
            "missing: change its permissions, or move it away."
        ) from error
    is_recent = time.time_ns() - changed < _RECENT
    return Folder.of(-1 if is_recent else changed, images, **names)


def _list_remote(root: str, prefix: str, known: Folder | None) -> Folder:
    """Stores keep no times of folders: a file that has the name of one looked at counts as that."""
    listed = stores.entries(stores.join(root, prefix), IMAGE_SUFFIXES)
    folders = [name for name, is_folder in listed if is_folder]
    files = [name for name, is_folder in listed if not is_folder]
    images = [name for name in files if name.lower().endswith(IMAGE_SUFFIXES)]
    others = sorted(set(files).difference(images))
    folder = Folder.of(-1, images, folders=folders, links=[], others=others, special=[])
    if known is not None:
        sizes = _sizes_by_name(known)
        folder.sizes = np.array([sizes.get(name, -1) for name in folder.names()], np.int64)
        folder.is_good = folder.sizes >= 0
    return folder


def is_special(file: os.DirEntry | pathlib.Path) -> bool:
    """Whether a file is a pipe, a socket or a device: reading it could wait forever."""
    try:
        mode = file.stat().st_mode
    except OSError:  # there is none, or a link leads nowhere: reported when it is read
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_folder_entry(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _top(path: str) -> str:
    return path.split(os.sep)[0]


def _sizes_by_name(folder: Folder | None) -> dict[bytes, int]:
    """The sizes of the images of a folder that were looked at."""
    return {} if folder is None else dict(zip(folder.names(), folder.sizes.tolist()))


def _take(folder: Folder, places: np.ndarray, looked: concurrent.futures.Future) -> None:
    folder.sizes[places], folder.is_good[places] = looked.result()


def _look(root: str, prefix: str, names: list[bytes], known: list[int]):
    """Size of each file, and whether it is known to be good."""
    sizes, is_good = [], []
    folder = os.fsencode(stores.join(root, prefix))
    look = _look_at_remote if stores.is_remote(root) else _look_at_local
    for name, before in zip(names, known):
        size, is_complete = look(os.path.join(folder, name), before)
        sizes.append(size)
        is_good.append(is_complete)
    return sizes, is_good


def _look_at_local(file: bytes, known: int) -> tuple[int, bool]:
    """Size, and whether it starts and ends like a complete image, or has a known size."""
    try:
        if known >= 0 and os.stat(file).st_size == known:
            return known, True
        number = os.open(file, os.O_RDONLY)
    except OSError:
        return 0, False
    try:
        size = os.fstat(number).st_size
        start = os.pread(number, START_BYTES, 0)
        end = os.pread(number, START_BYTES, max(0, size - START_BYTES))
        return size, looks_complete(start, end, size)
    except OSError:
        return 0, False
    finally:
        os.close(number)


def _look_at_remote(file: bytes, known: int) -> tuple[int, bool]:
    try:
        content = stores.tried(lambda: stores.read(os.fsdecode(file)))
    except stores.errors():
        return 0, False
    return len(content), looks_complete(content)
