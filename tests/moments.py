"""Ends or signals a process at a chosen moment, without a change to what it runs.

A moment is a write, `PLACE#COUNT` (the COUNT-th time that a file of that name is opened for writing,
renamed, removed, or a folder made), or a call, `MODULE:NAME#COUNT`. Place `*` means any write. What
was being written is then left half-written.
"""

import functools
import importlib
import os
import re
import signal
import sys

_RANDOM = re.compile(r"[0-9a-f]{32}")  # in the names of unfinished files
_TORN = b"3,0.25"


def install(folder: str, moment: str | None, number: int = signal.SIGKILL) -> None:
    """Has this process send itself a signal at a moment.

    Args:
        folder: Writes elsewhere do not count.
        moment: See above; `None` for never.
        number: The signal.
    """
    place, _, count = (moment or "#0").rpartition("#")
    if ":" in place:
        _at_call(place, int(count), number)
    else:
        _at_write(os.path.realpath(folder), place, int(count), number)


def fill_up(filler: str, left: int) -> None:
    """Has a file take what is free on its disk, except for so many bytes."""
    disk = os.statvfs(os.path.dirname(filler))
    descriptor = os.open(filler, os.O_WRONLY | os.O_CREAT)
    taken = disk.f_bavail * disk.f_frsize - left
    if taken > 0:
        os.posix_fallocate(descriptor, 0, taken)
    os.close(descriptor)


def _at_write(folder: str, place: str, count: int, number: int) -> None:
    seen = {"*": 0}
    log = os.environ.get("WRITES")  # a file that lists the moments

    def listen(event: str, arguments: tuple) -> None:
        path = _written(event, arguments, folder)
        if path is None:
            return
        name = f"{_verb(event)} {_RANDOM.sub('', os.path.relpath(path, folder))}"
        seen[name] = seen.get(name, 0) + 1
        seen["*"] += 1
        if log:
            line = f"{name}#{seen[name]}\n".encode()
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line)
            os.close(descriptor)
        if place in (name, "*") and seen[place] == count:
            if event == "open" and number == signal.SIGKILL:
                _tear(path, arguments[2])
            os.kill(os.getpid(), number)

    sys.addaudithook(listen)


def _verb(event: str) -> str:
    return event.removeprefix("os.")


def _written(event: str, arguments: tuple, folder: str) -> str | None:
    """The file in a folder that an event of Python's audit is about to change."""
    if event == "open":
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return None
    elif event == "os.rename":
        path = arguments[1]
    elif event in ("os.remove", "os.mkdir", "os.rmdir"):
        path = arguments[0]
    else:
        return None
    if isinstance(path, int):
        return None
    path = os.path.abspath(os.fsdecode(path))
    return path if path.startswith(folder + os.sep) else None


def _tear(path: str, flags: int) -> None:
    """Leaves a file as a process does that is killed while it writes it."""
    if not path.endswith((".lock", ".parquet")):
        keep = flags & os.O_APPEND
        mode = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if keep else os.O_TRUNC)
        os.write(os.open(path, mode), _TORN)


def _at_call(place: str, count: int, number: int) -> None:
    module, _, name = place.partition(":")
    owner = importlib.import_module(module)
    *parts, last = name.split(".")
    for part in parts:
        owner = getattr(owner, part)
    function, calls = getattr(owner, last), []

    @functools.wraps(function)
    def call(*arguments, **options):
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return function(*arguments, **options)

    setattr(owner, last, call)
