"""The errors that are shown on one line, without a traceback, and names in messages."""

import contextlib
import difflib
import signal
from collections.abc import Iterable, Iterator, Sequence

_JOINERS = "\u200c\u200d"  # Persian, Hindi and others are not readable without them


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

    def __init__(self, message: str = ""):
        super().__init__(printable_lines(message))  # it may hold names of files


class RunFailure(RuntimeError):
    """A valid request that could not be completed: exit code 1.

    Example:
        >>> import simclr_keras as sk
        >>> issubclass(sk.RunFailure, RuntimeError)
        True
    """

    def __init__(self, message: str = ""):
        super().__init__(printable_lines(message))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM ended a command: exit code 130 or 143.

    Args:
        message: What was saved, and how to continue.
        signal_number: The signal.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT):
        super().__init__(message)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


@contextlib.contextmanager
def nothing_written() -> Iterator[None]:
    """Context, or decorator, in which Ctrl-C and SIGTERM say that nothing was written."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        number = getattr(interrupt, "signal_number", signal.SIGINT)
        message = "Interrupted; nothing was written. Run the same command again."
        raise Interrupted(message, number) from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean a or b?` with the known names close to `name`, or an empty string."""
    close = difflib.get_close_matches(name, list(known))
    return f" Did you mean {' or '.join(close)}?" if close else ""


def closest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three known names close to `name`, or the first six if none is close."""
    known = list(known)
    return difflib.get_close_matches(name, known) or known[:6]


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey: control characters are escaped.

    File names may hold any byte: sequences that move the cursor or set the window's title, line
    ends, marks that reverse the direction of writing, and bytes that are no UTF-8.

    Example:
        >>> from simclr_keras.errors import printable
        >>> printable("cat\\x1b[2J.jpg, two\\nlines, \\udcff.jpg")
        'cat\\\\x1b[2J.jpg, two\\\\nlines, \\\\xff.jpg'
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """`printable` of each line of a message."""
    return "\n".join(map(printable, text.split("\n")))


def named(names: Sequence[str], limit: int = 3) -> str:
    """The first few names, ready for a message, and how many more there are.

    Example:
        >>> from simclr_keras.errors import named
        >>> named(["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"])
        'a.jpg, b.jpg, c.jpg and 2 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(map(printable, names[:limit])) + more


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is no UTF-8, as Python keeps it
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
