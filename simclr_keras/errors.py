"""The two errors that a person reads on one line, without a traceback."""


class InputError(ValueError):
    """Input or settings that cannot be used.

    The message says what happened, what was expected and what to do; the command line
    prints it on one line and exits with code 2.
    """


class RunFailure(RuntimeError):
    """Work that was asked for rightly and could not be finished: exit code 1."""
