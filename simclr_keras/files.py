"""Writes files and folders completely or not at all."""

import contextlib
import glob
import json
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Iterator

_MARK = "unfinished-"
_DAY = 24 * 60 * 60  # seconds; nothing takes so long to write


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary file, with the suffix of `path`, that replaces `path` on success.

    Until then, and after an error, `path` is unchanged. No temporary file is left behind.

    Args:
        path: The file; its folder is created.

    Yields:
        The path to write to.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_old(path.parent, f".{glob.escape(path.stem)}.{_MARK}*")
    unfinished = path.with_name(f".{path.stem}.{_MARK}{uuid.uuid4().hex}{path.suffix}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def unfinished_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """A path in `parent` for a temporary folder, which the caller renames when it is complete.

    If it has not been renamed, the folder is deleted.

    Args:
        parent: The parent folder; created if missing.

    Yields:
        A path that does not exist yet.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_old(parent, f".{_MARK}*")
    unfinished = parent / f".{_MARK}{uuid.uuid4().hex}"
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def is_unfinished(path: pathlib.Path) -> bool:
    """Whether a path is what a killed process left of a file or folder that it was writing."""
    return path.name.startswith(".") and _MARK in path.name


def _remove_old(parent: pathlib.Path, pattern: str) -> None:
    """Removes what processes that were killed long ago left."""
    for path in parent.glob(pattern):
        with contextlib.suppress(OSError):  # another process was faster
            if time.time() - path.stat().st_mtime > _DAY:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: pathlib.Path, content: dict | list) -> None:
    """Writes a JSON file completely or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
