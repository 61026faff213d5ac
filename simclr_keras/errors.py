"""The errors that are shown on one line, without a traceback, and suggestions for names."""

import difflib
import signal
from collections.abc import Iterable


class InputError(ValueError):
    """Input or settings that cannot be used.

    The message says what happened, what was expected and what to do; the command line
    prints it on one line and exits with code 2.

    Example:
        >>> import simclr_keras as sk
        >>> try:
        ...     sk.PretrainConfig(dataset="digits", run_dir="runs/digits", temperature=0.0)
        ... except sk.InputError as error:
        ...     print(error)
        `temperature` must be positive. Received: temperature=0.0
    """


class RunFailure(RuntimeError):
    """A valid request that could not be completed: exit code 1.

    Example:
        >>> import simclr_keras as sk
        >>> issubclass(sk.RunFailure, RuntimeError)
        True
    """


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a command: exit code 130 or 143.

    Args:
        message: What was saved, and how to continue.
        signal_number: The signal.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean a or b?` with the known names close to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known))
    return f" Did you mean {' or '.join(close)}?" if close else ""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names close to `name`, or the first six if none is close."""
    known = list(known)
    return difflib.get_close_matches(name, known) or known[:6]
