"""Writes files and folders completely or not at all."""

import contextlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator


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
    unfinished = path.with_name(f".{path.stem}.unfinished-{uuid.uuid4().hex}{path.suffix}")
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
    unfinished = parent / f".unfinished-{uuid.uuid4().hex}"
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: pathlib.Path, content: dict | list) -> None:
    """Writes a JSON file completely or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
