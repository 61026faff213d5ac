"""The two errors that a person reads on one line, without a traceback; and what was meant."""

import difflib
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
    """Work that was asked for rightly and could not be finished: exit code 1.

    Example:
        >>> import simclr_keras as sk
        >>> issubclass(sk.RunFailure, RuntimeError)
        True
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question, after a space, with the known names that look like one; empty if none does."""
    close = difflib.get_close_matches(name, list(known))
    return f" Did you mean {' or '.join(close)}?" if close else ""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The three known names that look most like one, or the first six of all."""
    known = list(known)
    return difflib.get_close_matches(name, known) or known[:6]
