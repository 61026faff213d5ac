"""`FileSizes`: the names and sizes of millions of files in little memory, as `images.json` keeps them."""

import array
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..data.paths import PathList
from ..files import whole_file

_AT_A_TIME = 10_000
_SEPARATOR = ",\n  "


class FileSizes:
    """Files by name.

    Args:
        names: N paths, each once.
        sizes: Integers `(N,)`: the bytes of each.
    """

    def __init__(self, names: Sequence[str] = (), sizes: Sequence[int] | np.ndarray = ()):
        self.names, self.sizes = PathList.of(names), np.asarray(sizes, np.int64)

    def __len__(self) -> int:
        return len(self.sizes)

    def items(self) -> Iterator[tuple[str, int]]:
        """The name and size of each."""
        return zip(self.names, map(int, self.sizes))

    def existing(self) -> "FileSizes":
        """Those whose size is not negative."""
        exist = self.sizes >= 0
        if exist.all():
            return self
        return FileSizes(self.names.take(np.flatnonzero(exist)), self.sizes[exist])

    def differences(self, before: "FileSizes") -> dict[str, set[str]]:
        """The names of the files that were added, are missing or have changed since.

        Args:
            before: The files as they were.
        """
        now, then = name_keys(self.names), name_keys(before.names)
        if np.array_equal(now, then) and np.array_equal(self.sizes, before.sizes):
            return {"added": set(), "missing": set(), "changed": set()}
        _, mine, others = np.intersect1d(now, then, assume_unique=True, return_indices=True)
        changed = mine[self.sizes[mine] != before.sizes[others]]
        return {
            "added": set(self.names.take(np.flatnonzero(~np.isin(now, then)))),
            "missing": set(before.names.take(np.flatnonzero(~np.isin(then, now)))),
            "changed": set(self.names.take(changed)),
        }

    def write(self, path: str | os.PathLike) -> None:
        """Writes a JSON file of names and sizes, completely or not at all."""
        items = self.items()
        with whole_file(path) as unfinished, open(unfinished, "w") as file:
            before = "{\n  "
            while part := dict(itertools.islice(items, _AT_A_TIME)):
                text = json.dumps(part, separators=(_SEPARATOR, ": "))
                file.write(before + text[1:-1])
                before = _SEPARATOR
            file.write("\n}\n" if len(self) else "{}\n")

    @classmethod
    def read(cls, path: str | os.PathLike) -> "FileSizes":
        """Reads what `write` wrote; as a whole if it was formatted in another way since."""
        sizes = array.array("q")

        def names(parts: Iterable[dict[str, int]]) -> Iterator[bytes]:
            for part in parts:
                sizes.extend(part.values())
                yield from map(os.fsencode, part)

        try:
            paths = PathList.joined(names(_parts(path)))
        except ValueError:
            del sizes[:]
            with open(path) as file:
                paths = PathList.joined(names([json.load(file)]))
        return cls(paths, np.frombuffer(sizes, np.int64))


def name_keys(names: Sequence[str]) -> np.ndarray:
    """int64 `(N,)`: numbers that stand for names while this process runs."""
    return np.fromiter(map(hash, names), np.int64, len(names))


def _parts(path: str | os.PathLike) -> Iterator[dict[str, int]]:
    """The content of a JSON file with one name on each line, a part at a time."""
    with open(path) as file:
        while lines := list(itertools.islice(file, _AT_A_TIME)):
            text = "".join(lines).strip()
            text = text.removeprefix("{").removesuffix("}").rstrip().removesuffix(",")
            yield json.loads(f"{{{text}}}")
