"""Files in other stores, such as `gs://bucket/photos`: the only file that calls `tf.io.gfile`.

A path with a scheme is remote. `pathlib` would make a local folder `gs:` of it, so such paths stay
texts. TensorFlow is imported when the first of them is used.
"""

import contextlib
import errno
import io
import os
import pathlib
import re
import shutil
import time
import typing
from collections.abc import Callable, Iterator

from .errors import InputError, RunFailure
from .files import unfinished_name

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_WAITS = (1, 5, 20)  # seconds before what failed is tried again
_BLOCK = 2**23  # bytes copied at a time
_T = typing.TypeVar("_T")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether a path has a scheme."""
    text = os.fspath(path)
    return isinstance(text, str) and bool(_SCHEME.match(text))


def check_registered(name: str, value: str) -> None:
    """Raises an `InputError` if TensorFlow knows no store of a path's scheme.

    Args:
        name: The setting that the path is the value of.
        value: The path.
    """
    found = _SCHEME.match(value)
    known = sorted(scheme for scheme in _gfile().get_registered_schemes() if scheme)
    if found and found[1] not in known:
        raise InputError(
            f"`{name}` is in a store that TensorFlow does not know here: it knows "
            f"{', '.join(f'{scheme}://' for scheme in known)}. Import the package that registers "
            f"it, copy the data here, or mount the store. Received: {name}={value!r}"
        )


def join(folder: str | os.PathLike, *names: str) -> str:
    """The path of something in a folder, local or remote."""
    return os.path.join(folder, *names)


def absolute(path: str | os.PathLike) -> str:
    """A path that means the same in every folder."""
    text = os.fspath(path)
    return text if is_remote(text) else os.path.abspath(text)


def without_slash(path: str) -> str:
    """A remote path without a slash at its end."""
    return path if path.endswith("://") else path.rstrip("/")


def split(path: str) -> tuple[str, str]:
    """The folder and the name of a file, local or remote, whose path has both."""
    folder, _, name = path.rpartition("/")
    return (f"{folder}/" if folder.endswith("/") else folder), name


def is_folder(path: str) -> bool:
    """Whether there is a remote folder.

    Raises:
        OSError: If it cannot be told.
        tf.errors.OpError: As `OSError`.
    """
    return _is(path, lambda status: status.is_directory)


def is_file(path: str) -> bool:
    """Whether there is a remote file; raises the same errors."""
    return _is(path, lambda status: not status.is_directory)


def has_file(path: str | os.PathLike) -> bool:
    """Whether there is a file, local or remote.

    Raises:
        RunFailure: If a store cannot be read.
    """
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.isfile(path)
    with explained(f"{path} could not be read"):
        return is_file(path)


def has_folder(path: str | os.PathLike) -> bool:
    """Whether there is a folder, local or remote; raises the same errors."""
    path = os.fspath(path)
    if not is_remote(path):
        return os.path.isdir(path)
    with explained(f"{path} could not be read"):
        return is_folder(path)


def _is(path: str, kind: Callable) -> bool:
    try:  # `isdir` and `exists` also say no of a store that does not answer
        return kind(tried(lambda: _gfile().stat(path)))
    except errors() as error:
        if is_missing(error):
            return False
        raise


def entries(folder: str, suffixes: tuple[str, ...] = ()) -> list[tuple[str, bool]]:
    """What is in a remote folder and not hidden.

    Args:
        folder: The folder.
        suffixes: Of files: names that end so are not asked about one by one.

    Returns:
        The name of each, and whether it is a folder.

    Raises:
        InputError: If the folder cannot be read.
    """
    try:
        names = tried(lambda: _gfile().listdir(folder))
    except errors() as error:
        raise InputError(f"The folder {folder} cannot be read: {reason(error)}.") from error
    found = []
    for listed in names:
        name = listed.rstrip("/")  # how some stores mark folders
        if name and not name.startswith("."):
            is_file = listed == name and name.lower().endswith(suffixes or ("\0",))
            found.append((name, not is_file and is_folder(join(folder, name))))
    return found


def files_below(folder: str) -> Iterator[str]:
    """The paths, within a remote folder, of all files in it and its sub-folders."""
    for above, _, names in _gfile().walk(folder):
        inside = above[len(folder.rstrip("/")) :].strip("/")
        yield from (os.path.join(inside, name) for name in names if name)


def stamp(file: str) -> tuple[int, int]:
    """Size and time of a file, which change when the file does; (-1, -1) if there is none."""
    try:
        if is_remote(file):
            status = _gfile().stat(file)
            return status.length, status.mtime_nsec
        found = os.stat(file)
    except errors():
        return -1, -1
    return found.st_size, found.st_mtime_ns


def size(file: str) -> int:
    """The bytes of a file.

    Raises:
        OSError: If there is no such file.
        tf.errors.OpError: As `OSError`, of a remote file.
    """
    if is_remote(file):
        return tried(lambda: _gfile().stat(file)).length
    return os.path.getsize(file)


def read(file: str) -> bytes:
    """The content of a remote file."""
    with _gfile().GFile(file, "rb") as stream:
        return stream.read()


def write(file: str, content: bytes) -> None:
    """Writes a small remote file."""
    _put(io.BytesIO(content), file)


def remove(file: str) -> None:
    """Removes a remote file, if there is one."""
    if _gfile().exists(file):
        _gfile().remove(file)


def get(source: str, target: pathlib.Path) -> None:
    """Copies a remote file to this machine; its folder is created.

    Raises:
        OSError: If it cannot be read, or is not as long as it should be.
        tf.errors.OpError: As `OSError`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_file(source) as theirs, target.open("wb") as ours:
        shutil.copyfileobj(theirs, ours, _BLOCK)
    _check_size(source, target.stat().st_size)


def put(source: pathlib.Path, target: str) -> None:
    """Copies a file of this machine to a store, where it replaces another; its folder is created.

    Raises:
        OSError: If what arrived is not as long as what was sent.
        tf.errors.OpError: If it cannot be written.
    """
    with source.open("rb") as ours:
        _put(ours, target)


def _put(content: typing.BinaryIO, target: str) -> None:
    """Writes a file aside and renames it: some stores append to one that exists."""
    folder, name = split(target)
    _gfile().makedirs(folder)
    aside = join(folder, unfinished_name(name))
    with _gfile().GFile(aside, "wb") as theirs:
        shutil.copyfileobj(content, theirs, _BLOCK)
    _check_size(aside, content.tell())
    _gfile().rename(aside, target, overwrite=True)


def _check_size(file: str, expected: int) -> None:
    arrived = size(file)
    if arrived != expected:
        raise OSError(f"{file} has {arrived} bytes, but {expected} were copied")


def open_file(path: str) -> typing.BinaryIO:
    """A file, local or remote, open for reading.

    Raises:
        OSError: If there is no such file, or it cannot be read.
    """
    if not is_remote(path):
        return open(path, "rb")
    return typing.cast(typing.BinaryIO, io.BufferedReader(_RemoteFile(path)))


def read_at(stream: typing.BinaryIO, place: int, length: int) -> bytes:
    """Some bytes of a file that `open_file` opened."""
    try:  # of a local file: past the buffer
        return os.pread(stream.fileno(), length, place)
    except io.UnsupportedOperation:
        stream.seek(place)
        return stream.read(length)


class _RemoteFile(io.RawIOBase):
    """A remote file as Python and its libraries read files."""

    def __init__(self, path: str):
        self._path = path
        with self._as_os_errors():
            self._size = size(path)
        self._file = _gfile().GFile(path, "rb")

    @contextlib.contextmanager
    def _as_os_errors(self) -> Iterator[None]:
        try:
            yield
        except errors() as error:
            if is_missing(error):
                raise FileNotFoundError(errno.ENOENT, "No such file", self._path) from error
            raise OSError(errno.EIO, reason(error), self._path) from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self.tell(), os.SEEK_END: self._size}[whence]
        self._file.seek(start + place)
        return start + place

    def readinto(self, buffer) -> int:
        with self._as_os_errors():
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def tried(action: Callable[[], _T]) -> _T:
    """The result of an action on a store, which is repeated some times if it fails.

    Raises:
        OSError: As the last attempt.
        tf.errors.OpError: As the last attempt.
    """
    for wait in _WAITS:
        try:
            return action()
        except errors() as error:
            if is_missing(error) or _is_wrong(error):
                raise
            time.sleep(wait)
    return action()


def is_missing(error: Exception) -> bool:
    """Whether an error says that there is no such file."""
    import tensorflow as tf

    return isinstance(error, (FileNotFoundError, tf.errors.NotFoundError))


def _is_wrong(error: Exception) -> bool:
    """Whether an error says that a path names nothing that there can be."""
    import tensorflow as tf

    wrong = tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, UnicodeDecodeError
    return isinstance(error, wrong)


def reason(error: Exception) -> str:
    """Why a store could not be read or written, on one line."""
    return " ".join((str(error) or type(error).__name__).split())[:200]


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Makes a `RunFailure` of the errors of a store, and an `InputError` of those of a wrong path.

    Args:
        what: What could not be done, for people.
    """
    try:
        yield
    except errors() as error:
        if _is_wrong(error):
            raise InputError(f"{what}: {reason(error)}.") from error
        raise RunFailure(
            f"{what}: {reason(error)}. Repeat the command when the store answers."
        ) from error


def errors() -> tuple[type[Exception], ...]:
    """What a store that cannot be read or written raises."""
    import tensorflow as tf

    return OSError, tf.errors.OpError, UnicodeDecodeError  # a name that is no UTF-8


def _gfile():
    import tensorflow as tf

    return tf.io.gfile
