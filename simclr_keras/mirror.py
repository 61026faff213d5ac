"""`Mirror`: a local copy of a remote folder, for all that reads and writes local files only.

Stores rename no folders and lock nothing. What is written locally in an order that survives being
killed is therefore sent in that order: by the time of the last change, and last of all the files that
make a run, a classifier or an export count.
"""

import concurrent.futures
import contextlib
import fnmatch
import functools
import json
import logging
import os
import pathlib
import socket
import time
import uuid
from collections.abc import Iterable, Sequence

from . import stores
from .errors import RunFailure
from .files import is_unfinished

_LOGGER = logging.getLogger("simclr_keras")
_LAST = ("saved_model.pb", "classifier.keras", "encoder.keras")  # each makes its folder count
_WRITER_FILE = ".writer.json"
_STALE_SECONDS = 15 * 60  # a process that writes says so at least every five minutes
_AT_A_TIME = 8  # files
_THIS_PROCESS = uuid.uuid4().hex  # numbers of processes are given again


class Mirror:
    """A local folder with files of a remote one.

    Args:
        url: The remote folder, which need not exist yet.
        folder: The local one; created.
    """

    def __init__(self, url: str, folder: pathlib.Path):
        self.url, self.folder = url, folder
        self.may_replace = True  # whether a file that someone else has written may be replaced
        self._sent: dict[str, tuple[int, int]] = {}  # size and time of what is in both
        self._token: str | None = None
        folder.mkdir(parents=True)

    def pull(self, without: Sequence[str] = ()) -> None:
        """Gets the files of the store.

        Args:
            without: Patterns of paths to leave out.

        Raises:
            RunFailure: If the store cannot be read.
        """
        with stores.explained(f"{self.url} could not be read"):
            if stores.is_folder(self.url):
                self.get(
                    path
                    for path in stores.files_below(self.url)
                    if not any(fnmatch.fnmatch(path, pattern) for pattern in without)
                )

    def get(self, paths: Iterable[str]) -> None:
        """Gets some files; those that have gone in the meantime are left out.

        Args:
            paths: Their paths within the folder.

        Raises:
            RunFailure: If the store cannot be read.
        """
        with (
            stores.explained(f"{self.url} could not be read"),
            concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as pool,
        ):
            list(pool.map(self._get, (path for path in paths if _is_kept(path))))

    def _get(self, path: str) -> None:
        target = self.folder / path
        try:
            stores.tried(lambda: stores.get(stores.join(self.url, path), target))
        except stores.errors() as error:
            if not stores.is_missing(error):
                raise
            target.unlink(missing_ok=True)
        else:
            self._sent[path] = stores.stamp(str(target))

    def outline(self) -> None:
        """Makes the sub-folders of the store, empty, so that their names count as taken."""
        if stores.is_folder(self.url):
            for name, is_folder in stores.entries(self.url):
                if is_folder:
                    (self.folder / name).mkdir(exist_ok=True)

    def changes(self) -> tuple[list[str], list[str]]:
        """The files to send, and those to remove from the store, each in this order."""
        now = self._now()
        changed = [path for path in now if self._sent.get(path) != now[path]]
        gone = [path for path in self._sent if path not in now]
        return (
            sorted(changed, key=lambda path: (_is_last(path), now[path][1], path)),
            sorted(gone, key=lambda path: not path.endswith(".json")),
        )

    def push(self) -> None:
        """Sends what is new or changed, and removes what has gone.

        Raises:
            RunFailure: If another process writes there.
            OSError: If the store cannot be written.
            tf.errors.OpError: As `OSError`.
        """
        changed, gone = self.changes()
        if not changed and not gone:
            return
        self._check_writer()
        for path in changed:
            if path in self._sent:  # what these stand for is about to change
                self._remove(filter(_is_last, gone))
            local, target = self.folder / path, stores.join(self.url, path)
            known = stores.stamp(str(local))
            if not self.may_replace and stores.stamp(target)[0] >= 0:
                raise RunFailure(
                    f"{target} exists: another process has written it in the meantime. Repeat the "
                    "command to take another version."
                )
            stores.tried(functools.partial(stores.put, local, target))
            self._sent[path] = known
        self._remove(gone)

    def _remove(self, paths: Iterable[str]) -> None:
        for path in paths:
            if path in self._sent:
                stores.tried(functools.partial(stores.remove, stores.join(self.url, path)))
                del self._sent[path]

    def _now(self) -> dict[str, tuple[int, int]]:
        """Size and time of each local file."""
        found = {}
        for above, _, names in os.walk(self.folder):
            for name in names:
                file = os.path.join(above, name)
                path = os.path.relpath(file, self.folder)
                if _is_kept(path):
                    found[path] = stores.stamp(file)
        return found

    def claim(self) -> None:
        """Marks the folder as written by this process: `.writer.json`.

        A store has no locks. Two processes that begin within the same second may both go on, until
        one of them sends something.

        Raises:
            RunFailure: If another process writes there; one that has not sent anything for a quarter
                of an hour counts as ended, and so does one of this machine that no longer exists.
        """
        if self._token is not None:
            return
        other = self._writer()
        if other and time.time() - other["time"] < _STALE_SECONDS and not _has_ended(other):
            raise RunFailure(
                f"Another process is training in {self.url}: process {other['process']} on "
                f"{other['host']}. Wait until it has finished, or choose another `run_dir`; if it was "
                f"killed, remove {self.url}/{_WRITER_FILE}."
            )
        self._token = uuid.uuid4().hex
        self._mark()

    def release(self) -> None:
        """Removes the mark of this process; if the store fails, it counts as ended some time later."""
        with contextlib.suppress(*stores.errors()):
            if self._token is not None and (self._writer() or {}).get("token") == self._token:
                stores.remove(stores.join(self.url, _WRITER_FILE))
        self._token = None

    def _check_writer(self) -> None:
        """Raises a `RunFailure` if another process has taken over; otherwise renews the mark."""
        if self._token is None:
            return
        other = self._writer()
        if other and other["token"] != self._token:
            raise RunFailure(
                f"Process {other['process']} on {other['host']} has begun to write to {self.url}: "
                "this one stops."
            )
        self._mark()

    def _mark(self) -> None:
        content = {
            "token": self._token,
            "host": socket.gethostname(),
            "process": os.getpid(),
            "born": _THIS_PROCESS,
            "time": time.time(),
        }
        file = stores.join(self.url, _WRITER_FILE)
        stores.tried(lambda: stores.write(file, json.dumps(content).encode()))

    def _writer(self) -> dict | None:
        """Who writes there; `None` if nobody does, or it cannot be told."""
        file = stores.join(self.url, _WRITER_FILE)
        try:
            found = json.loads(stores.tried(lambda: stores.read(file)))
            return (
                found if {"token", "host", "process", "born", "time"} <= found.keys() else None
            )
        except (ValueError, AttributeError):
            return None
        except stores.errors() as error:
            if stores.is_missing(error):
                return None
            raise


def _is_last(path: str) -> bool:
    return os.path.basename(path) in _LAST


def _is_kept(path: str) -> bool:
    """Whether a file belongs in both places: not a lock, a mark, or half of something."""
    name = os.path.basename(path)
    if name == _WRITER_FILE or (name.startswith(".") and name.endswith(".lock")):
        return False
    return not any(is_unfinished(pathlib.Path(part)) for part in pathlib.Path(path).parts)


def _has_ended(writer: dict) -> bool:
    """Whether a process of this machine no longer exists."""
    if writer["host"] != socket.gethostname():
        return False
    if writer["process"] == os.getpid():
        return writer["born"] != _THIS_PROCESS
    try:
        os.kill(writer["process"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False
