"""Folders of images: which files, which classes, which split, and what is unreadable."""

import logging
import os
import pathlib

from ..errors import InputError
from .sources import FileSource, why_unreadable

_LOGGER = logging.getLogger("simclr_keras")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
_HELD_OUT = ("test", "val", "validation")  # in this order of preference
_NAMED = 3  # files that a message names
# How files begin, and how complete ones end. A BMP has no end, so it is always decoded.
_COMPLETE = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    (b"GIF8", b"\x3b"),
)


def load_folder(
    folder: str | os.PathLike, split: str, skip_unreadable: bool = False
) -> tuple[FileSource, bool]:
    """A folder as a source.

    Sub-folders are classes, with all images below them; images beside them have no label.
    `train/` and `test/`, `val/` or `validation/` are splits instead, when `train/` stands
    beside one of the others or there are no other sub-folders.

    Args:
        folder: An existing folder.
        split: `"all"` (of a folder with splits: its training part), `"train"` or `"test"`
            (its training part where there is no other).
        skip_unreadable: Leave unreadable images out instead of refusing them.

    Returns:
        The source, sorted by path, and whether it is the split asked for. If not (the folder
        has nothing to test on), it is everything.

    Raises:
        InputError: If there are no images, some cannot be read, or there is no training part.
    """
    root = pathlib.Path(folder)
    splits = _splits(root)
    if not splits:
        files = find_images(root)
        source = _source(root, files, _classes(files), skip_unreadable)
        return source, split == "all"
    beside = {p.name for p in root.iterdir() if p.name[0] != "."}
    _warn_of_others(root, beside - {p.name for p in splits.values()}, "beside the splits")
    held_out = next((splits[name] for name in _HELD_OUT if name in splits), None)
    chosen = held_out if split == "test" and held_out else splits.get("train")
    if chosen is None:
        raise InputError(
            f"{root} has {' and '.join(f'{p.name}/' for p in splits.values())} but no train/ "
            "folder. Add it, or name other data."
        )
    # All parts number the classes alike, even if one of them lacks a class.
    files = {part: find_images(part) for part in splits.values()}
    class_names = sorted({name for found in files.values() for name in _classes(found)})
    source = _source(chosen, files[chosen], class_names, skip_unreadable)
    return source, split == "all" or held_out is not None


def _splits(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folders that are splits, by their names in lower case."""
    folders = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] != "."]
    splits = {p.name.lower(): p for p in folders if p.name.lower() in ("train", *_HELD_OUT)}
    if len(splits) == len(folders) or ("train" in splits and len(splits) > 1):
        return splits
    return {}  # such as the classes train, car and plane


def find_images(root: pathlib.Path) -> list[str]:
    """Relative names of the files with an image's suffix, sorted; others are named."""
    found, others, seen = [], set(), set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link to a folder above it would never end
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        prefix = os.path.relpath(folder, root)
        for name in names:
            path = os.path.normpath(os.path.join(prefix, name))
            if name[0] != "." and name.lower().endswith(_SUFFIXES):
                found.append(path)
            elif name[0] != ".":
                others.add(path)
    _warn_of_others(root, others, "not named as JPEG, PNG, GIF or BMP")
    return sorted(found, key=lambda path: path.split(os.sep))


def _warn_of_others(root: pathlib.Path, names: set[str], why: str) -> None:
    if names:
        _LOGGER.warning(
            "Left out of %s: %d %s: %s.", root, len(names), why, _named(sorted(names))
        )


def _classes(files: list[str]) -> list[str]:
    return sorted({path.split(os.sep)[0] for path in files if os.sep in path})


def _source(
    root: pathlib.Path, files: list[str], class_names: list[str], skip_unreadable: bool
) -> FileSource:
    if not files:
        raise InputError(
            f"There are no images in {root}. Expected files that end in "
            f"{', '.join(_SUFFIXES)}, in it or in one sub-folder for each class."
        )
    paths = _readable(root, files, skip_unreadable)
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = [numbers[p.split(os.sep)[0]] if os.sep in p else -1 for p in paths]
    return FileSource(paths, labels, class_names, root=str(root))


def _readable(root: pathlib.Path, files: list[str], skip_unreadable: bool) -> tuple[str, ...]:
    """The files that look whole; only suspicious ones are decoded to find out."""
    suspicious = [path for path in files if not _looks_complete(root / path)]
    reasons = {path: why_unreadable(str(root / path)) for path in suspicious}
    broken = [f"{path} ({reason})" for path, reason in reasons.items() if reason]
    readable = tuple(path for path in files if not reasons.get(path))
    if not broken:
        return readable
    message = f"{len(broken)} of {len(files)} images in {root} cannot be read: {_named(broken)}"
    if not skip_unreadable:
        raise InputError(f"{message}. Move them away, or pretrain with `skip_unreadable`.")
    if not readable:
        raise InputError(f"{message}. Nothing is left: name another folder.")
    _LOGGER.warning("%s. They are left out.", message)
    return readable


def _looks_complete(file: pathlib.Path) -> bool:
    """Whether a file begins and ends as a JPEG, PNG or GIF does."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - 8))
            end = stream.read()
    except OSError:
        return False
    return any(start.startswith(a) and end.endswith(z) for a, z in _COMPLETE)


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
