"""Loads folders of images: finds the files, classes, splits and unreadable images."""

import logging
import os
import typing
from collections.abc import Mapping

import numpy as np

from .. import stores
from ..errors import InputError, named
from .decoding import FORMATS
from .file_source import FileSource
from .kept_listing import keep_listing, kept_folders
from .listing import IMAGE_SUFFIXES, Folder, Listing, is_folder_entry, list_folder
from .paths import PathList
from .unreadable import refuse_or_skip, why_unreadable

_LOGGER = logging.getLogger("simclr_keras")
HELD_OUT = ("test", "val", "validation")  # in this order of preference


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
    root = os.fspath(folder)
    splits = _splits(root)
    if not splits:
        before = kept_folders(root)
        listing = _listed(root, before)
        return _source(listing, before, listing.classes, skip_unreadable), split == "all"
    beside = {name for name, _ in _in_folder(root)}
    _warn_of_others(root, beside - set(splits.values()), "beside the splits")
    held_out = _test_part(splits)
    chosen = held_out if split == "test" and held_out else splits.get("train")
    if chosen is None:
        raise InputError(
            f"{root} has {' and '.join(f'{name}/' for name in splits.values())} but no train/ "
            "folder. Add it, or name other data."
        )
    # All splits share one numbering of classes, even if one of them lacks a class.
    classes: set[str] = set()
    for part in splits.values():
        known = kept_folders(stores.join(root, part))
        found = _listed(stores.join(root, part), known)
        classes.update(found.classes)
        if part == chosen:
            listing, before = found, known
    source = _source(listing, before, sorted(classes), skip_unreadable)
    return source, split == "all" or held_out is not None


def folder_has_test_part(folder: str | os.PathLike) -> bool:
    """Whether a folder has a split to test on."""
    return _test_part(_splits(os.fspath(folder))) is not None


def training_folder(folder: str | os.PathLike) -> str:
    """The folder that holds the training part: `train/` if there are splits."""
    root = os.fspath(folder)
    part = _splits(root).get("train")
    return root if part is None else stores.join(root, part)


def split_folders(folder: str | os.PathLike) -> dict[str, str]:
    """The folders to train and to test on, by those names; `{"": folder}` without splits."""
    root = os.fspath(folder)
    splits = _splits(root)
    held_out = _test_part(splits)
    chosen = {"train": splits.get("train"), held_out or "": held_out}
    found = {name: stores.join(root, part) for name, part in chosen.items() if part}
    return found or {"": root}


def _test_part(splits: dict[str, str]) -> str | None:
    return next((splits[name] for name in HELD_OUT if name in splits), None)


def _splits(root: str) -> dict[str, str]:
    """The names of the folders that are splits, keyed by these names in lower case."""
    folders = sorted(name for name, is_folder in _in_folder(root) if is_folder)
    splits = {name.lower(): name for name in folders if name.lower() in ("train", *HELD_OUT)}
    if len(splits) == len(folders) or ("train" in splits and len(splits) > 1):
        return splits
    return {}  # such as classes named train, car and plane


def _in_folder(root: str) -> list[tuple[str, bool]]:
    """The names in a folder that are not hidden, and whether each is a folder."""
    if stores.is_remote(root):
        return stores.entries(root, IMAGE_SUFFIXES)
    with os.scandir(root) as entries:
        return [
            (entry.name, is_folder_entry(entry)) for entry in entries if entry.name[0] != "."
        ]


def find_images(root: str | os.PathLike) -> PathList:
    """Sorted relative paths of the files with an image suffix; warns about others.

    Raises:
        InputError: If a folder cannot be read.
    """
    return _listed(os.fspath(root), {}).paths


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

    images: PathList
    others: set[str]
    special: set[str]
    folders: set[str]
    links: dict[str, bool]
    closed: dict[str, str]


def walk(root: str | os.PathLike, skip_closed: bool = False) -> FolderContent:
    """Finds what is in a folder; see `list_folder`.

    Args:
        root: The folder.
        skip_closed: Go on if a folder below cannot be read.

    Raises:
        InputError: If a folder cannot be read.
    """
    listing = list_folder(os.fspath(root), {}, skip_closed)
    return FolderContent(
        listing.paths,
        listing.others("others"),
        listing.others("special"),
        listing.others("folders") | listing.others("links"),
        listing.links,
        listing.closed,
    )


def _listed(root: str, before: Mapping[str, Folder]) -> Listing:
    listing = list_folder(root, before)
    _warn_of_others(root, listing.others("others"), f"without a {FORMATS} suffix")
    _warn_of_others(root, listing.others("special"), "that are pipes, sockets or devices")
    return listing


def _warn_of_others(root: str, names: set[str], why: str) -> None:
    if names:
        _LOGGER.warning(
            "Ignored in %s: %d item(s) %s: %s.", root, len(names), why, named(sorted(names))
        )


def _source(
    listing: Listing,
    before: Mapping[str, Folder],
    class_names: list[str],
    skip_unreadable: bool,
) -> FileSource:
    root, labels = listing.root, listing.labels(class_names)
    if not len(listing):
        raise InputError(
            f"There are no images in {root}. Expected files that end in "
            f"{', '.join(IMAGE_SUFFIXES)}, in this folder or in one sub-folder for each class."
        )
    listing.look_at_files(before)
    reasons = _reasons(listing)
    keep_listing(listing, before)
    paths, sizes = listing.paths, listing.sizes()
    if reasons:
        broken = [f"{paths[index]} ({reason})" for index, reason in reasons.items()]
        refuse_or_skip(broken, len(broken), len(paths), root, skip_unreadable)
        readable = np.delete(np.arange(len(paths)), list(reasons))
        paths, labels, sizes = paths.take(readable), labels[readable], sizes[readable]
    return FileSource(paths, labels, class_names, root=root, sizes=sizes)


def _reasons(listing: Listing) -> dict[int, str]:
    """Why images cannot be read, by index; only those that look incomplete are decoded to check."""
    is_good, reasons = listing.is_good(), {}
    for index in np.flatnonzero(~is_good).tolist():
        reason = why_unreadable(stores.join(listing.root, listing.paths[index]))
        if reason:
            reasons[index] = reason
        else:
            is_good[index] = True
    listing.set_good(is_good)
    return reasons
