"""What signals do: end a run after the step in progress, or have it write a checkpoint."""

import contextlib
import os
import signal
import sys
import threading
import typing
from collections.abc import Callable, Iterator

from ..errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # SIGTERM: a cluster will take the machine away
_SAVE = getattr(signal, "SIGUSR1", None)  # Windows has none
_PATIENCE = 1.0  # seconds until something is said
_SAYS_ENDING = "\nEnding after what is in progress. Press Ctrl-C again to end at once.\n"
_SAYS_ENDED = "\nEnded at once.\n"
_SAYS = "\nStopping after this step. Press Ctrl-C again to end at once.\n"
_SAYS_AGAIN = "\nEnded at once, at the last checkpoint.\n"


class StopSignals:
    """Notes signals while a run trains, instead of ending the process.

    A step of TensorFlow can take a minute, in which no Python signal handler runs. A thread
    therefore reads signals from a pipe that the interpreter's own handler writes to: the user
    is answered at once, and a second signal ends the process at once.

    Attributes:
        received: The signal that asked the run to stop, or `None`.
        asked_to_save: Whether SIGUSR1 asked for a checkpoint.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.asked_to_save = False

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Context in which signals are noted.

        Signals can be handled only in the main thread: in another, they do what they did before.
        Those that the process ignores stay ignored, as Ctrl-C in the background of a script, and
        so does a handler of the program's own for SIGUSR1.

        Raises:
            Interrupted: At the end, if a signal came too late for the run to stop for it.
        """
        heard: list[int] = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        if _SAVE and signal.getsignal(_SAVE) in (signal.SIG_DFL, do_nothing):
            heard.append(_SAVE)
        with _read_in_a_thread(self._listen):
            with _handled(heard if _is_main_thread() else [], do_nothing):
                yield
        if self.received:
            raise Interrupted("The run had just finished.", self.received)

    def obey(self, number: int, message: str) -> typing.NoReturn:
        """Ends the run for a signal, of this process or of another worker.

        Args:
            number: The signal.
            message: What was saved, and how to continue.

        Raises:
            Interrupted: Always.
        """
        self.received = None
        raise Interrupted(message, number)

    def _listen(self, pipe: int) -> None:
        while numbers := os.read(pipe, 1):
            number = numbers[0]
            if number == _SAVE:
                self.asked_to_save = True
            elif number not in _SIGNALS:
                continue
            elif self.received is None:
                self.received = number
                _say(_SAYS)
            else:
                _say(_SAYS_AGAIN)
                os._exit(128 + number)


@contextlib.contextmanager
def second_signal_ends_at_once() -> Iterator[None]:
    """Context in which a second Ctrl-C or SIGTERM ends the process, whatever it is doing.

    The first is handled as before: it ends what runs as soon as Python does, which says how if
    this takes more than a second.
    """

    say = threading.Timer(_PATIENCE, _say, [_SAYS_ENDING])
    say.daemon = True

    def listen(pipe: int) -> None:
        is_second = False
        while numbers := os.read(pipe, 1):
            if numbers[0] not in _SIGNALS:
                continue
            if is_second:
                _say(_SAYS_ENDED)
                os._exit(128 + numbers[0])
            is_second = True
            say.start()

    try:
        with _read_in_a_thread(listen):
            yield
    finally:
        say.cancel()


def do_nothing(number, frame) -> None:
    """A handler in Python: without one, the signal would end the process."""


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _handled(numbers: list[int], handler: Callable) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)


@contextlib.contextmanager
def _read_in_a_thread(listen: Callable[[int], None]) -> Iterator[None]:
    """Has a thread read the numbers of signals from a pipe; does nothing outside the main thread."""
    if not _is_main_thread():
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    listener = threading.Thread(target=listen, args=[reading], daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(writing)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)  # ends the listener
        listener.join()
        os.close(reading)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
