"""Local copies of remote runs, exports and files, while a command works on them.

Most libraries that write files (NumPy, pyarrow, Keras) know local ones only. A command therefore works on
a copy in a temporary folder: it gets what it needs, sends what it has written after each checkpoint
and at its end, and removes the copy.
"""

import contextlib
import contextvars
import dataclasses
import functools
import logging
import os
import pathlib
import shutil
import tempfile
import typing
from collections.abc import Callable, Iterator, Sequence

from . import stores
from .errors import InputError, RunFailure
from .mirror import Mirror
from .result import Result

_LOGGER = logging.getLogger("simclr_keras")
_P = typing.ParamSpec("_P")
_T = typing.TypeVar("_T")


class _Copies:
    """The copies of one command."""

    def __init__(self) -> None:
        self.mirrors: dict[str, Mirror] = {}
        self._root: pathlib.Path | None = None

    def mirror(self, url: str) -> tuple[Mirror, bool]:
        """The copy of a folder, and whether it is new."""
        url = stores.without_slash(url)
        if url in self.mirrors:
            return self.mirrors[url], False
        if self._root is None:
            self._root = pathlib.Path(tempfile.mkdtemp(prefix="simclr_keras_store_"))
        # The same name: exports are called by that of their folder.
        folder = self._root / str(len(self.mirrors)) / os.path.basename(url)
        self.mirrors[url] = Mirror(url, folder)
        return self.mirrors[url], True

    def named(self, text: str) -> str:
        """A text with the names of the remote folders instead of their copies'."""
        for mirror in self.mirrors.values():
            text = text.replace(str(mirror.folder), mirror.url)
        return text

    def push(self) -> Exception | None:
        """Sends all changes; returns the first error."""
        found: Exception | None = None
        for mirror in self.mirrors.values():
            try:
                mirror.push()
            except Exception as error:  # told at the end; the other copies are sent first
                found = found or error
        return found

    def close(self) -> None:
        """Removes the copies, except those whose changes are not in the store: says where these are."""
        kept = [mirror for mirror in self.mirrors.values() if any(mirror.changes())]
        for mirror in self.mirrors.values():
            mirror.release()
            if mirror not in kept:
                shutil.rmtree(mirror.folder.parent, ignore_errors=True)
        for mirror in kept:
            _LOGGER.error(
                "%d file(s) are not in %s: they are kept in %s. Copy them there.",
                len(mirror.changes()[0]),
                mirror.url,
                mirror.folder,
            )
        if self._root and not kept:
            shutil.rmtree(self._root, ignore_errors=True)


_COPIES: contextvars.ContextVar[_Copies | None] = contextvars.ContextVar("copies", default=None)


def with_local_copies(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Decorates a function that takes paths: those that are remote have copies until it returns.

    Its messages and its result name what is in the store. Functions that it calls share its copies.

    Raises:
        RunFailure: If a store cannot be read or written. What is not in it is kept.
    """

    @functools.wraps(function)
    def call(*arguments: _P.args, **options: _P.kwargs) -> _T:
        with _copies() as copies:
            return _outside(function(*arguments, **options), copies)

    return call


@contextlib.contextmanager
def _copies() -> Iterator[_Copies]:
    if (outer := _COPIES.get()) is not None:
        yield outer
        return
    copies = _Copies()
    entered = _COPIES.set(copies)
    error: Exception | None = None
    try:
        with _stores_named(copies):
            yield copies
    finally:
        _COPIES.reset(entered)
        try:
            error = copies.push()
        finally:
            copies.close()
    if isinstance(error, RunFailure):
        raise error
    if error is not None:
        raise RunFailure(
            f"What was written could not be sent: {stores.reason(error)}. The lines above say where "
            "it is kept."
        ) from error


@contextlib.contextmanager
def _stores_named(copies: _Copies) -> Iterator[None]:
    """Names what is in a store in the messages of work on its copy."""

    def rename(record: logging.LogRecord) -> bool:
        if copies.mirrors:
            record.msg, record.args = copies.named(record.getMessage()), ()
        return True

    _LOGGER.addFilter(rename)
    try:
        yield
    except (InputError, RunFailure) as failure:
        text = copies.named(str(failure))
        if text == str(failure):
            raise
        raise type(failure)(text).with_traceback(failure.__traceback__) from failure.__cause__
    finally:
        _LOGGER.removeFilter(rename)


def _outside(value: _T, copies: _Copies) -> _T:
    """A result whose paths are those in the store, as texts."""
    if isinstance(value, pathlib.Path):
        text = copies.named(str(value))
        return value if text == str(value) else typing.cast(_T, text)
    if not isinstance(value, Result):
        return value
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}  # type: ignore
    changed = {
        name: new
        for name, old in fields.items()
        if isinstance(old, pathlib.Path) and (new := _outside(old, copies)) is not old
    }
    return dataclasses.replace(value, **changed) if changed else value  # type: ignore


def in_store(result: _T) -> _T:
    """A result that names what is in the store, to be written into a file."""
    copies = _COPIES.get()
    return _outside(result, copies) if copies else result


def _current(path: str) -> _Copies:
    copies = _COPIES.get()
    if copies is None:
        raise RuntimeError(f"`with_local_copies` is missing. Received: {path}")
    return copies


def folder_here(
    path: str | os.PathLike, without: Sequence[str] = (), outline: bool = False
) -> pathlib.Path:
    """A local folder: itself, or the copy of a remote one.

    Args:
        path: The folder, which need not exist.
        without: Patterns of paths in a remote one that are not needed.
        outline: Whether only the names of the sub-folders of a remote one are needed, and it gets new
            ones only: nothing there is replaced.
    """
    path = os.fspath(path)
    if not stores.is_remote(path):
        return pathlib.Path(path)
    mirror, is_new = _current(path).mirror(path)
    if is_new and outline:
        mirror.may_replace = False
        mirror.outline()
    elif is_new:
        mirror.pull(without)
    return mirror.folder


def file_here(path: str | os.PathLike, get: bool = True) -> pathlib.Path:
    """A local file: itself, or the copy of a remote one, in a folder of its own.

    Args:
        path: The file, which need not exist.
        get: Whether what is in a remote one is needed. If not, it will be written.
    """
    path = os.fspath(path)
    if not stores.is_remote(path):
        return pathlib.Path(path)
    folder, name = stores.split(path)
    mirror, _ = _current(path).mirror(folder)
    file = mirror.folder / name
    if get and not file.exists() and stores.has_file(path):
        mirror.get([name])
    return file


def here(path: str | os.PathLike) -> pathlib.Path:
    """A local file or folder: itself, or the copy of what is in a store under that name."""
    path = os.fspath(path)
    is_folder = not stores.is_remote(path) or stores.has_folder(path)
    return folder_here(path) if is_folder else file_here(path)


def outside(path: str | os.PathLike) -> str:
    """The name in the store of what a copy holds; of other files, their path."""
    copies = _COPIES.get()
    return copies.named(os.fspath(path)) if copies else os.fspath(path)


def is_copy(path: pathlib.Path) -> bool:
    """Whether a path is inside the copy of a remote folder."""
    return bool(_mirrors_of(path))


def get_again(path: pathlib.Path) -> None:
    """Gets the newest version of a file of a copy; other files are as they are."""
    for mirror in _mirrors_of(path):
        mirror.get([os.path.relpath(path, mirror.folder)])


def claim(folder: pathlib.Path) -> None:
    """Marks the folder of a copy as written by this process; see `Mirror.claim`."""
    for mirror in _mirrors_of(folder):
        with stores.explained(f"{mirror.url} could not be written"):
            mirror.claim()


def send() -> None:
    """Sends what has changed in the copies of this command: after each checkpoint.

    A store that fails is one warning: the next call, or the end of the command, tries again.

    Raises:
        RunFailure: If another process writes to the same run.
    """
    copies = _COPIES.get()
    error = copies.push() if copies else None
    if isinstance(error, RunFailure):
        raise error
    if error is not None:
        _LOGGER.warning(
            "What was written could not be sent: %s. It is tried again with the next checkpoint.",
            stores.reason(error),
        )


def _mirrors_of(path: pathlib.Path) -> list[Mirror]:
    copies = _COPIES.get()
    mirrors = copies.mirrors.values() if copies else ()
    return [mirror for mirror in mirrors if path.is_relative_to(mirror.folder)]
