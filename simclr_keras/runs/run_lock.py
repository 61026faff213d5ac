"""`RunLock`: one process at a time trains in a run directory."""

import os
import pathlib

import filelock

from ..errors import RunFailure
from ..local_copies import claim

LOCK_FILE = ".run.lock"


class RunLock:
    """Held by the process that trains in a run directory; the system lets go of it if that dies.

    A context that lets go of it at its end.

    Args:
        path: The run directory.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = pathlib.Path(path)
        self._lock: filelock.BaseFileLock | None = None

    def hold(self) -> None:
        """Takes the lock, unless this object has it already; creates the folder.

        Raises:
            RunFailure: If another process has it.
        """
        if self._lock is not None:
            return
        self._path.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._path / LOCK_FILE, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise RunFailure(
                f"Another process is training in {self._path}. Wait until it has finished, or "
                "choose another `run_dir`."
            ) from error
        self._lock = lock
        claim(self._path)  # for processes on other machines, if the run is in a store

    def __enter__(self) -> "RunLock":
        return self

    def __exit__(self, *error) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None
