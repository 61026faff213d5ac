"""`Finding`: something odd about data; the kinds of findings, and how each is found."""

import collections
import dataclasses
import os
from collections.abc import Iterator

import numpy as np

from .. import stores
from ..data.folders import FolderContent
from ..result import Result
from .declared import other_format
from .groups import groups_of
from .look import Look
from .picture_hash import near_pairs

KINDS = {
    "unreadable": "Files that cannot be opened, or are no files",
    "no-image": "Files that hold no image that is decoded",
    "truncated": "Truncated images",
    "damaged": "Damaged images",
    "size": "Images that declare no pixels, or too many; they were not decoded",
    "tiny": "Tiny images",
    "across-splits": "The same picture in the training and the test part",
    "duplicates": "The same picture more than once",
    "near-duplicates": "Pictures that are almost the same",
    "other-kind": "Images of other channels than most; all are decoded to 8-bit RGB",
    "orientation": "Images with an EXIF orientation, which is ignored: they are used as stored",
    "single-image-class": "Classes with one image",
    "empty-class": "Classes without images",
    "links": "Links to folders, which decide the names of classes",
    "other-suffix": "Images that are ignored because of the suffix of their name",
}


@dataclasses.dataclass(frozen=True)
class Finding(Result):
    """Something odd.

    Attributes:
        kind: One of `KINDS`.
        names: The images, or folders, that it is about.
        note: What is odd about them.
    """

    kind: str
    names: list[str]
    note: str


def of_images(parts: dict[str, Look], min_side: int, near_bits: int) -> Iterator[Finding]:
    """What is odd about the images of each part, by itself and in comparison.

    Args:
        parts: What was seen, by the name of the part.
        min_side: See `CheckDataConfig`.
        near_bits: See `CheckDataConfig`.
    """
    for part, look in parts.items():
        for index, (kind, reason) in look.reasons.items():
            yield Finding(kind, [name_of(part, look, index)], reason)
        for text in look.source.skipped:
            yield Finding("damaged", [text], "in a shard")
        yield from _of_each(part, look, min_side)
    yield from _alike(parts, near_bits)


def of_folder(part: str, root: str, content: FolderContent) -> Iterator[Finding]:
    """What is odd about a folder of images, apart from its images."""
    for path in sorted(content.special):
        yield Finding("unreadable", [_join(part, path)], "a pipe, a socket or a device")
    for path, why in sorted(content.closed.items()):
        yield Finding("unreadable", [_join(part, path)], f"a folder: {why}")
    counts = collections.Counter(
        path.split(os.sep)[0] for path in content.images if os.sep in path
    )
    for path in sorted(content.folders):
        if os.sep in path or content.links.get(path) is False:
            continue
        if counts[path] < 2:
            kind = "single-image-class" if counts[path] else "empty-class"
            yield Finding(
                kind, [_join(part, path)], "one image" if counts[path] else "no image"
            )
    for path, is_followed in sorted(content.links.items()):
        target = os.path.realpath(stores.join(root, path))
        if not is_followed:
            note = f"leads to {target}, which is read under its own name: this one is ignored"
        elif os.path.basename(target) == os.path.basename(path):
            continue
        else:
            note = f"leads to {target}, which is read under the name of the link"
        yield Finding("links", [_join(part, path)], note)
    for path in sorted(content.others):
        start = _start(stores.join(root, path))
        known = other_format(start)
        if known or start.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")):
            yield Finding("other-suffix", [_join(part, path)], known or "an image")


def name_of(part: str, look: Look, index: int) -> str:
    """The name of an image, with its part if there are several."""
    return _join(part, look.source.name_of(index))


def _join(part: str, name: str) -> str:
    return os.path.join(part, name)


def _start(file: str) -> bytes:
    try:
        if not stores.has_file(file):
            return b""
        with stores.open_file(file) as stream:
            return stream.read(32)
    except OSError:
        return b""


def _of_each(part: str, look: Look, min_side: int) -> Iterator[Finding]:
    readable = look.readable
    for index in readable[look.sides[readable].min(axis=1) < min_side]:
        height, width = look.sides[index]
        yield Finding("tiny", [name_of(part, look, index)], f"{width} x {height}")
    if not len(readable):
        return
    counts = np.bincount(look.kind[readable], minlength=len(look.kinds))
    most = look.kinds[counts.argmax()]
    for index in readable[look.kind[readable] != counts.argmax()]:
        kind = look.kinds[look.kind[index]]
        yield Finding("other-kind", [name_of(part, look, index)], f"{kind}; most are {most}")
    for index in readable[look.orientation[readable] != 1]:
        note = f"orientation {look.orientation[index]}"
        yield Finding("orientation", [name_of(part, look, index)], note)


def _alike(parts: dict[str, Look], near_bits: int) -> Iterator[Finding]:
    """Groups of equal and of almost equal pictures, within and across the parts."""
    places = [(part, look, int(i)) for part, look in parts.items() for i in look.readable]
    if not places:
        return

    def joined(of) -> np.ndarray:
        return np.concatenate([of(look)[look.readable] for look in parts.values()])

    pixels, content = joined(lambda look: look.pixels), joined(lambda look: look.content)
    exact = _groups_of_equal(pixels)
    hashes = joined(lambda look: look.hashes)
    # Of equal pictures the first stands for all.
    others = np.concatenate([group[1:] for group in exact] or [np.array([], int)])
    hashes[others] = 0
    near = groups_of(
        near_pairs(hashes, joined(lambda look: look.means), near_bits), len(places)
    )
    for kind, groups in (("duplicates", exact), ("near-duplicates", near)):
        for group in groups:
            same = "almost the same picture"
            if kind == "duplicates":
                is_same = (content[group] == content[group[0]]).all()
                same = "the same bytes" if is_same else "the same pixels"
            members = [places[place] for place in group]
            across = len({part for part, _, _ in members}) > 1
            names = [name_of(*member) for member in members]
            classes = sorted(
                {
                    look.source.class_names[look.source.labels[i]]
                    for _, look, i in members
                    if look.source.labels[i] >= 0 and look.source.class_names
                }
            )
            note = f"{same}, in {len(classes)} classes" if len(classes) > 1 else same
            yield Finding("across-splits" if across else kind, names, note)


def _groups_of_equal(rows: np.ndarray) -> list[np.ndarray]:
    """The groups of two or more equal rows, by their first."""
    order = np.lexsort(rows.T)
    changes = np.flatnonzero((rows[order[1:]] != rows[order[:-1]]).any(axis=1)) + 1
    groups = [np.sort(group) for group in np.split(order, changes) if len(group) > 1]
    return sorted(groups, key=lambda group: group[0])
