"""Loads folders of shards: Parquet files, or tar files as WebDataset writes them."""

import collections
import os
import pathlib
import re

from ..errors import InputError
from .folders import IMAGE_SUFFIXES
from .parquet_shards import find_columns, index_parquet, parquet_name, parquet_reader
from .shard_index import kept_index
from .sources import ImageSource
from .tar_shards import index_tar, tar_name

_KINDS = (".parquet", ".tar")
_HELD_OUT = ("test", "val", "validation")  # in this order of preference


def holds_shards(folder: str | os.PathLike) -> bool:
    """Whether there are shards in a folder or in its sub-folders."""
    root = pathlib.Path(folder).expanduser()
    folders = [root, *(path for path in root.iterdir() if path.is_dir())]
    return any(name.lower().endswith(_KINDS) for path in folders for name in _names(path))


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
    root = pathlib.Path(folder).expanduser()
    parts = _parts(root)
    held_out = [part for part in _HELD_OUT if part in parts]
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


def _names(folder: pathlib.Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # said when its images are read
        return []


def shards_have_test_part(folder: str | os.PathLike) -> bool:
    """Whether a folder of shards has a split to test on."""
    return any(part in _HELD_OUT for part in _parts(pathlib.Path(folder).expanduser()))


def _parts(root: pathlib.Path) -> dict[str, list[str]]:
    """The sorted shards of each split; refuses a mixture of kinds."""
    kinds = collections.defaultdict(list)
    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name[0] != ".")
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if name[0] != "." and suffix in (*_KINDS, *IMAGE_SUFFIXES):
                path = os.path.relpath(os.path.join(folder, name), root)
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
        parts[next((word for word in words if word in _HELD_OUT), "train")].append(path)
    return parts


def _load(root: pathlib.Path, paths: list[str], skip_unreadable: bool) -> ImageSource:
    files = [str(root / path) for path in paths]
    if files[0].lower().endswith(".tar"):
        index = kept_index(files, str(root), lambda number: index_tar(files[number]))
        return index.source(files, None, str(root), tar_name, skip_unreadable)
    columns = find_columns(files[0])
    index = kept_index(
        files,
        str(root),
        lambda number: index_parquet(files[number], columns),
        settings=[columns.image, columns.label or ""],
    )
    return index.source(
        files,
        columns.class_names,
        str(root),
        parquet_name,
        skip_unreadable,
        parquet_reader(columns),
    )
