"""Loads folders of images: finds the files, classes, splits and unreadable images."""

import collections
import logging
import os
import pathlib
import stat
import typing

from ..errors import InputError, named
from .decoding import FORMATS
from .sources import FileSource
from .unreadable import START_BYTES, looks_complete, refuse_or_skip, why_unreadable

_LOGGER = logging.getLogger("simclr_keras")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp")
_HELD_OUT = ("test", "val", "validation")  # in this order of preference


def load_folder(
    folder: str | os.PathLike, split: str, skip_unreadable: bool = False
) -> tuple[FileSource, bool]:
    """Loads a folder as a source.

    Each sub-folder is a class of all images below it; images outside sub-folders have no label.
    `train/`, `test/`, `val/` and `validation/` are splits instead if the folder has `train/`
    and one of the others, or no other sub-folders.

    Args:
        folder: An existing folder.
        split: `"all"` (the training part if the folder has splits), `"train"` or `"test"`
            (the training part if there is no other).
        skip_unreadable: Skip unreadable images instead of raising an `InputError`.

    Returns:
        The source, sorted by path, and whether it is the requested split. If not (there is
        nothing to test on), it is everything.

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
    held_out = _test_part(splits)
    chosen = held_out if split == "test" and held_out else splits.get("train")
    if chosen is None:
        raise InputError(
            f"{root} has {' and '.join(f'{p.name}/' for p in splits.values())} but no train/ "
            "folder. Add it, or name other data."
        )
    # All splits share one numbering of classes, even if one of them lacks a class.
    files_of = {part: find_images(part) for part in splits.values()}
    class_names = sorted({name for found in files_of.values() for name in _classes(found)})
    source = _source(chosen, files_of[chosen], class_names, skip_unreadable)
    return source, split == "all" or held_out is not None


def folder_has_test_part(folder: str | os.PathLike) -> bool:
    """Whether a folder has a split to test on."""
    return _test_part(_splits(pathlib.Path(folder))) is not None


def training_folder(folder: str | os.PathLike) -> pathlib.Path:
    """The folder that holds the training part: `train/` if there are splits."""
    root = pathlib.Path(folder)
    return _splits(root).get("train", root)


def split_folders(folder: str | os.PathLike) -> dict[str, pathlib.Path]:
    """The folders to train and to test on, by those names; `{"": folder}` without splits."""
    splits = _splits(pathlib.Path(folder))
    held_out = _test_part(splits)
    chosen = {"train": splits.get("train"), held_out.name if held_out else "": held_out}
    return {name: path for name, path in chosen.items() if path} or {"": pathlib.Path(folder)}


def _test_part(splits: dict[str, pathlib.Path]) -> pathlib.Path | None:
    return next((splits[name] for name in _HELD_OUT if name in splits), None)


def _splits(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folders that are splits, keyed by lower-case name."""
    folders = [p for p in sorted(root.iterdir()) if p.is_dir() and p.name[0] != "."]
    splits = {p.name.lower(): p for p in folders if p.name.lower() in ("train", *_HELD_OUT)}
    if len(splits) == len(folders) or ("train" in splits and len(splits) > 1):
        return splits
    return {}  # such as classes named train, car and plane


def find_images(root: pathlib.Path) -> list[str]:
    """Sorted relative paths of the files with an image suffix; warns about others.

    Links to folders are followed last, so that a folder that is also linked to keeps its name.

    Raises:
        InputError: If a folder cannot be read.
    """
    content = walk(root)
    _warn_of_others(root, content.others, f"without a {FORMATS} suffix")
    _warn_of_others(root, content.special, "that are pipes, sockets or devices")
    return content.images


class FolderContent(typing.NamedTuple):
    """What is in a folder, as relative paths.

    Attributes:
        images: Files with an image suffix, sorted.
        others: Files with another suffix.
        special: Pipes, sockets and devices with an image suffix.
        folders: Folders of any depth.
        links: Links to folders -> whether they were followed.
        closed: Folders that cannot be read -> why.
    """

    images: list[str]
    others: set[str]
    special: set[str]
    folders: set[str]
    links: dict[str, bool]
    closed: dict[str, str]


def walk(root: pathlib.Path, skip_closed: bool = False) -> FolderContent:
    """Finds what is in a folder; see `find_images`.

    Args:
        root: The folder.
        skip_closed: Go on if a folder below cannot be read.

    Raises:
        InputError: If a folder cannot be read.
    """
    content = FolderContent([], set(), set(), set(), {}, {})
    seen = set()
    folders, links = [""], collections.deque[str]()
    while folders or links:
        is_link = not folders
        prefix = folders.pop() if folders else links.popleft()
        real = os.path.realpath(root / prefix)
        is_new = real not in seen  # a link to a parent folder would recurse forever
        if is_link:
            content.links[prefix] = is_new
        if not is_new:
            continue
        seen.add(real)
        try:
            entries = _entries(root / prefix)
        except InputError as error:
            if not skip_closed or not prefix:
                raise
            content.closed[prefix] = str(error.__cause__)
            continue
        for entry in entries:
            path = os.path.join(prefix, entry.name)
            if _is_folder(entry):
                (links if entry.is_symlink() else folders).append(path)
                content.folders.add(path)
            elif not entry.name.lower().endswith(IMAGE_SUFFIXES):
                content.others.add(path)
            elif is_special(entry):
                content.special.add(path)
            else:
                content.images.append(path)
    content.images.sort(key=lambda path: path.split(os.sep))
    return content


def is_special(file: os.DirEntry | pathlib.Path) -> bool:
    """Whether a file is a pipe, a socket or a device: reading it could wait forever."""
    try:
        mode = file.stat().st_mode
    except OSError:  # there is none, or a link leads nowhere: reported when it is read
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _entries(folder: pathlib.Path) -> list[os.DirEntry]:
    """What is in a folder and not hidden."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if entry.name[0] != "."]
    except OSError as error:
        raise InputError(
            f"The folder {folder} cannot be read: {error.strerror}. Its images would be missing: "
            "change its permissions, or move it away."
        ) from error


def _warn_of_others(root: pathlib.Path, names: set[str], why: str) -> None:
    if names:
        _LOGGER.warning(
            "Ignored in %s: %d item(s) %s: %s.", root, len(names), why, named(sorted(names))
        )


def _classes(files: list[str]) -> list[str]:
    return sorted({path.split(os.sep)[0] for path in files if os.sep in path})


def _source(
    root: pathlib.Path, files: list[str], class_names: list[str], skip_unreadable: bool
) -> FileSource:
    if not files:
        raise InputError(
            f"There are no images in {root}. Expected files that end in "
            f"{', '.join(IMAGE_SUFFIXES)}, in this folder or in one sub-folder for each class."
        )
    paths = _readable(root, files, skip_unreadable)
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = [numbers[p.split(os.sep)[0]] if os.sep in p else -1 for p in paths]
    return FileSource(paths, labels, class_names, root=str(root))


def _readable(root: pathlib.Path, files: list[str], skip_unreadable: bool) -> tuple[str, ...]:
    """The readable files; only those that look incomplete are decoded to check."""
    suspicious = [path for path in files if not _looks_complete(root / path)]
    reasons = {path: why_unreadable(str(root / path)) for path in suspicious}
    broken = [f"{path} ({reason})" for path, reason in reasons.items() if reason]
    readable = tuple(path for path in files if not reasons.get(path))
    if broken:
        refuse_or_skip(broken, len(broken), len(files), str(root), skip_unreadable)
    return readable


def _looks_complete(file: pathlib.Path) -> bool:
    """Whether a file starts and ends like a complete JPEG, PNG, GIF or WebP."""
    try:
        with file.open("rb") as stream:
            start = stream.read(START_BYTES)
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - START_BYTES))
            end = stream.read()
    except OSError:
        return False
    return looks_complete(start, end, size)
