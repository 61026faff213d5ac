"""What a person sees of long work: log lines on standard error, and a bar if it is a terminal."""

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator

from .errors import printable_lines

SILENCE_SECONDS = 30.0  # the longest time without a line in a log file
_LOGGER = logging.getLogger("simclr_keras")


class StandardErrorHandler(logging.StreamHandler):
    """Writes to what `sys.stderr` is now: above a bar, while there is one."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def format(self, record: logging.LogRecord) -> str:
        return printable_lines(super().format(record))  # it may hold names of files

    @property
    def stream(self):
        return sys.stderr

    @stream.setter
    def stream(self, value) -> None:
        """Ignored: `sys.stderr` decides."""


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Context, or decorator, in which INFO messages of this package are shown.

    Python shows only warnings unless a program configures logging, and a run of hours would be
    silent. A level that the program has set for the logger `simclr_keras` is kept, and its
    handlers are used; without any, messages go to standard error.
    """
    level, propagate, handler = _LOGGER.level, _LOGGER.propagate, None
    if level == logging.NOTSET:
        _LOGGER.setLevel(logging.INFO)
    if not _LOGGER.hasHandlers():
        handler = StandardErrorHandler()
        _LOGGER.addHandler(handler)
        _LOGGER.propagate = False  # other packages configure logging later: each line twice
    try:
        yield
    finally:
        _LOGGER.setLevel(level)
        if handler is not None:
            _LOGGER.removeHandler(handler)
            _LOGGER.propagate = propagate


def has_terminal() -> bool:
    """Whether a bar can be drawn: standard error is a terminal, and progress is not silenced."""
    return sys.stderr.isatty() and _LOGGER.isEnabledFor(logging.INFO)


@contextlib.contextmanager
def progress_bar(title: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on standard error, if that is a terminal; log messages appear above it.

    Args:
        title: What is in progress.
        total: How much there is to do, if it is known.

    Yields:
        `update(done, total=total, text="")`; `text` is shown below the bar.
    """
    if not has_terminal():
        yield lambda done, total=None, text="": None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
    from rich.text import Text

    class BarAndText(Progress):
        text = ""

        def get_renderables(self):
            yield from super().get_renderables()
            if self.text:
                yield Text(self.text)

    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with BarAndText(*columns, console=Console(stderr=True), refresh_per_second=4) as bar:
        task = bar.add_task(title, total=total)

        def update(done: int, total: int | None = total, text: str = "") -> None:
            bar.text = text
            bar.update(task, completed=done, total=total)

        yield update


@contextlib.contextmanager
def counted(title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Shows how much of some work is done: a bar on a terminal, else a line every half minute.

    Args:
        title: What is in progress.
        total: How much there is to do, if it is known.
        unit: What is counted.

    Yields:
        `update(done)`.
    """
    began = spoke = time.perf_counter()

    def update(done: int) -> None:
        nonlocal spoke
        now = time.perf_counter()
        left = f"{duration((now - began) * (total - done) / done)} left" if total else ""
        show(done, text=left)
        if now - spoke >= SILENCE_SECONDS:
            spoke = now
            of_all = f"/{total}" if total else ""
            _LOGGER.info(f"{title}: {done}{of_all} {unit}  {left}".rstrip())

    with progress_bar(title, total) as show:
        yield update


def duration(seconds: float) -> str:
    """A time for people, in at most two units.

    Example:
        >>> from simclr_keras.progress import duration
        >>> [duration(seconds) for seconds in (0.4, 98, 12_000, 360_000)]
        ['0 s', '1 min 38 s', '3 h 20 min', '4 d 4 h']
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((i for i, (value, _) in enumerate(parts) if value), len(parts) - 1)
    shown = [f"{value} {unit}" for value, unit in parts[first : first + 2] if value]
    return " ".join(shown) or "0 s"
