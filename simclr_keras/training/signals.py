"""`StopSignals`: Ctrl-C and SIGTERM end a run after the step in progress."""

import contextlib
import os
import signal
import sys
import threading
import typing
from collections.abc import Iterator

from ..errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # SIGTERM: a cluster will take the machine away
_SAYS = "\nStopping after this step. Press Ctrl-C again to end at once.\n"
_SAYS_AGAIN = "\nEnded at once, at the last checkpoint.\n"


class StopSignals:
    """Notes signals while a run trains, instead of ending the process.

    A step of TensorFlow can take a minute, in which no Python signal handler runs. A thread
    therefore reads signals from a pipe that the interpreter's own handler writes to: the user
    is answered at once, and a second signal ends the process at once.

    Attributes:
        received: The signal that asked the run to stop, or `None`.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        """Context in which signals are noted.

        Signals can be handled only in the main thread: in another, they do what they did before.
        Those that the process ignores stay ignored, as Ctrl-C in the background of a script.

        Raises:
            Interrupted: At the end, if a signal came too late for the run to stop for it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        listener = threading.Thread(target=self._listen, args=[reading], daemon=True)
        listener.start()
        heard = [n for n in _SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        handlers = {number: signal.signal(number, _do_nothing) for number in heard}
        before = signal.set_wakeup_fd(writing)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(writing)  # ends the listener
            listener.join()
            os.close(reading)
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
            if number not in _SIGNALS:
                continue
            if self.received is None:
                self.received = number
                _say(_SAYS)
            else:
                _say(_SAYS_AGAIN)
                os._exit(128 + number)


def _do_nothing(number, frame) -> None:
    """A handler in Python: without one, the signal would end the process."""


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
