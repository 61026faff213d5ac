"""`progress_shown`: the log of a long call on standard error, as on the command line."""

import contextlib
import logging
import sys
from collections.abc import Iterator

_LOGGER = logging.getLogger("simclr_keras")


@contextlib.contextmanager
def progress_shown() -> Iterator[None]:
    """Context, or decorator, in which INFO messages of this package are shown.

    Python shows only warnings unless a program configures logging, and a run of hours would be
    silent. A level that the program has set for the logger `simclr_keras` is kept, and its
    handlers are used; without any, messages go to standard error.
    """
    level, handler = _LOGGER.level, None
    if level == logging.NOTSET:
        _LOGGER.setLevel(logging.INFO)
    if not _LOGGER.hasHandlers():
        handler = logging.StreamHandler(sys.stderr)
        _LOGGER.addHandler(handler)
    try:
        yield
    finally:
        _LOGGER.setLevel(level)
        if handler is not None:
            _LOGGER.removeHandler(handler)
