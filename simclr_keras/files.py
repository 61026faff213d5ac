"""Writes files and folders completely or not at all."""

import contextlib
import errno
import glob
import json
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Iterator

from .errors import InputError, RunFailure

_FULL = os.strerror(errno.ENOSPC)  # in every library's error
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

    Raises:
        RunFailure: If the disk is full.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path.parent, f".{glob.escape(path.stem)}.{_MARK}*")
    unfinished = path.with_name(unfinished_name(path.name))
    try:
        with explained_if_full(path):
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

    Raises:
        RunFailure: If the disk is full.
    """
    parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(parent)
    unfinished = parent / f".{_MARK}{uuid.uuid4().hex}"
    try:
        with explained_if_full(parent):
            yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def explained_if_full(path: str | os.PathLike) -> Iterator[None]:
    """Context in which a full disk is a `RunFailure` that names what was being written.

    Libraries report it by errors of their own, without a file.
    """
    try:
        yield
    except RunFailure:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        free = shutil.disk_usage(_existing(pathlib.Path(path))).free
        raise RunFailure(
            f"The disk is full: {path} could not be written, and {free / 1e6:,.1f} MB are free. Make "
            "room and run the same command again."
        ) from error


def is_full(error: Exception) -> bool:
    """Whether an error, of any library, says that the disk is full."""
    return _FULL in str(error)


def check_can_be_written(path: str | os.PathLike, name: str, is_folder: bool = False) -> None:
    """Raises an `InputError` if a file cannot be written; call before long work.

    Args:
        path: The file, which need not exist; nor its folder.
        name: What to call it.
        is_folder: Whether it is a folder for files.
    """
    path = pathlib.Path(path)
    folder = _existing(path if is_folder else path.parent)
    reason = None
    if path.is_dir() and not is_folder:
        reason = "it is a folder"
    elif not folder.is_dir():
        reason = f"{folder} is not a folder"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"{folder} may not be written to"
    if reason:
        raise InputError(f"{name} cannot be written: {reason}. Received: {path}")


def _existing(path: pathlib.Path) -> pathlib.Path:
    """The path, or the first folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


def unfinished_name(name: str) -> str:
    """The name of a hidden file that is written before it gets its own, with the same suffix."""
    stem, suffix = os.path.splitext(name)
    return f".{stem}.{_MARK}{uuid.uuid4().hex}{suffix}"


def is_unfinished(path: pathlib.Path) -> bool:
    """Whether a path is what a killed process left of a file or folder that it was writing."""
    return path.name.startswith(".") and _MARK in path.name


def remove_unfinished(
    parent: pathlib.Path, pattern: str = f".{_MARK}*", after: float = _DAY
) -> None:
    """Removes what killed processes left.

    Args:
        parent: A folder.
        pattern: Of the names of what they were writing. Defaults to folders.
        after: Seconds since then: another process may be writing.
    """
    for path in parent.glob(pattern):
        with contextlib.suppress(OSError):  # another process was faster
            if time.time() - path.stat().st_mtime >= after:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_json(path: pathlib.Path, content: dict | list) -> None:
    """Writes a JSON file completely or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
