"""Loads folders of shards: Parquet files, or tar files as WebDataset writes them."""

import collections
import contextlib
import os
import re
from collections.abc import Iterator

from .. import stores
from ..errors import InputError
from .folders import HELD_OUT
from .listing import IMAGE_SUFFIXES
from .parquet_shards import find_columns, index_parquet, parquet_name, parquet_reader
from .shard_index import kept_index
from .sources import ImageSource
from .tar_shards import index_tar, tar_name

_KINDS = (".parquet", ".tar")


def holds_shards(folder: str | os.PathLike) -> bool:
    """Whether there are shards in a folder or in its sub-folders."""
    root = os.fspath(folder)
    folders = []
    for name, is_folder in _in_folder(root):
        if is_folder:
            folders.append(stores.join(root, name))
        elif name.lower().endswith(_KINDS):
            return True
    return any(
        name.lower().endswith(_KINDS) for path in folders for name, _ in _in_folder(path)
    )


def load_shard_folder(
    folder: str | os.PathLike, split: str, skip_unreadable: bool = False
) -> tuple[ImageSource, bool]:
    """Loads a folder of shards as a source.

    A file whose path has the word `test`, `val` or `validation` belongs to that split, such as
    `data/test-00000-of-00002.parquet` and `val/000.tar`; all others are the training part.

    Args:
        folder: An existing folder for which `holds_shards`.
        split: `"all"` and `"train"` are the training part, `"test"` is the first split of these whose
            images have labels.
        skip_unreadable: Skip unreadable images instead of raising an `InputError`.

    Returns:
        The source, in the order of the sorted files, and whether it is the requested split. If not
        (there is nothing to test on), it is everything.

    Raises:
        InputError: If there are files of several kinds, some images cannot be read, or there is no
            training part.
    """
    root = os.fspath(folder)
    parts = _parts(root)
    held_out = [part for part in HELD_OUT if part in parts]
    chosen = held_out if split == "test" and held_out else ["train"]
    if chosen == ["train"] and "train" not in parts:
        raise InputError(
            f"{root} has shards of {' and '.join(held_out)} but none to train on. Add them, or "
            "name other data."
        )
    for part in chosen:
        source = _load(root, parts[part], skip_unreadable)
        if source.has_labels:
            break
    return source, split == "all" or bool(held_out)


def _in_folder(folder: str) -> Iterator[tuple[str, bool]]:
    """The names in a folder, one by one: there may be millions."""
    if stores.is_remote(folder):
        yield from stores.entries(folder, (*_KINDS, *IMAGE_SUFFIXES))
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:  # what cannot be read is said when its images are
            yield entry.name, entry.is_dir()


def shards_have_test_part(folder: str | os.PathLike) -> bool:
    """Whether a folder of shards has a split to test on."""
    return any(part in HELD_OUT for part in _parts(os.fspath(folder)))


def _parts(root: str) -> dict[str, list[str]]:
    """The sorted shards of each split; refuses a mixture of kinds."""
    kinds = collections.defaultdict(list)
    for path in _files(root):
        suffix = os.path.splitext(path)[1].lower()
        if suffix in (*_KINDS, *IMAGE_SUFFIXES):
            kinds[suffix if suffix in _KINDS else "images"].append(path)
    if len(kinds) > 1:
        found = ", ".join(f"{len(paths)} {kind} ({paths[0]})" for kind, paths in kinds.items())
        raise InputError(
            f"{root} holds files of several kinds: {found}. Expected images, .parquet or .tar "
            "files alone: move the others away."
        )
    ((_, paths),) = kinds.items()
    parts = collections.defaultdict(list)
    for path in sorted(paths):
        words = re.split(r"[^a-z0-9]+", path.lower())
        parts[next((word for word in words if word in HELD_OUT), "train")].append(path)
    return parts


def _files(root: str) -> Iterator[str]:
    """The paths of all files below a folder that are not hidden."""
    if stores.is_remote(root):
        paths = stores.files_below(root)
        yield from (p for p in paths if not any(part[0] == "." for part in p.split("/")))
        return
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        for name in names:
            if name[0] != ".":
                yield os.path.relpath(os.path.join(folder, name), root)


def _load(root: str, paths: list[str], skip_unreadable: bool) -> ImageSource:
    files = [stores.join(root, path) for path in paths]
    if files[0].lower().endswith(".tar"):
        index = kept_index(files, root, lambda number: index_tar(files[number]))
        return index.source(files, None, root, tar_name, skip_unreadable)
    columns = find_columns(files[0])
    index = kept_index(
        files,
        root,
        lambda number: index_parquet(files[number], columns),
        settings=[columns.image, columns.label or ""],
    )
    return index.source(
        files,
        columns.class_names,
        root,
        parquet_name,
        skip_unreadable,
        parquet_reader(columns),
    )
