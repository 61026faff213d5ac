"""Files and folders that are written whole or not at all."""

import contextlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A file to write, with the suffix of `path`, which takes its place when all went well.

    Until then `path` is as it was, and after an error it stays so; nothing else is left.

    Args:
        path: The file; its folder is made.

    Yields:
        Where to write.
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
    """A path for a new folder beside its siblings, to be renamed; what is left of it goes.

    Args:
        parent: The folder to be in; it is made.

    Yields:
        A path without a folder.
    """
    parent.mkdir(parents=True, exist_ok=True)
    unfinished = parent / f".unfinished-{uuid.uuid4().hex}"
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_json(path: pathlib.Path, content: dict | list) -> None:
    """Writes a JSON file whole or not at all."""
    with whole_file(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
