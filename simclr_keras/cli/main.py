"""`simclr-keras <command>`: parse, call one function, print.

Results go to standard output, logs to standard error. TensorFlow is imported by the commands
that need it, so `--help` is fast.
"""

import logging
import os
import signal
import sys
from typing import Annotated

import typer

from .. import __version__
from ..errors import InputError, Interrupted, RunFailure, printable
from ..files import is_full
from ..progress import StandardErrorHandler
from ..training.signals import do_nothing, second_signal_ends_at_once
from .classifiers import distill, fine_tune
from .data import check_data
from .embeddings import embed, map_embeddings, search, select
from .evaluate import evaluate
from .flags import with_flags
from .models import export
from .native_log import hide_native_log
from .options import NAMES, CommandInterrupted
from .pretraining import pretrain, quickstart, report, verify_replicas

app = typer.Typer(
    name="simclr-keras",
    help="Pretrain image encoders without labels, with TensorFlow and Keras.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_LOGGER = logging.getLogger("simclr_keras")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"simclr-keras {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", metavar="", help="Show tracebacks.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
):
    if debug:
        _LOGGER.setLevel(logging.DEBUG)  # the level at which tracebacks are logged


for _name, _command in {
    "quickstart": quickstart,
    "check-data": check_data,
    "pretrain": pretrain,
    "report": report,
    "evaluate": evaluate,
    "fine-tune": fine_tune,
    "distill": distill,
    "export": export,
    "embed": embed,
    "search": search,
    "map": map_embeddings,
    "select": select,
    "verify-replicas": verify_replicas,
}.items():
    app.command(_name)(_command)


class _WithFlags(logging.Formatter):
    """Names settings in log messages by their flags."""

    def format(self, record: logging.LogRecord) -> str:
        return with_flags(super().format(record), (), elsewhere=NAMES)


class _SayOnce(logging.Filter):
    """Drops warnings that repeat one: a command may read the same folder for several parts."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        is_new = record.getMessage() not in self._said
        self._said.add(record.getMessage())
        return is_new


def main() -> None:
    """Entry point: prints every error on one line and exits with a code."""
    if "--debug" not in sys.argv:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        hide_native_log()
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGUSR1"):  # asks for a checkpoint, where there is anything to save
        signal.signal(signal.SIGUSR1, do_nothing)
    handler = StandardErrorHandler()
    handler.setFormatter(_WithFlags("%(message)s"))
    handler.addFilter(_SayOnce())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    _LOGGER.setLevel(logging.INFO)
    try:
        with second_signal_ends_at_once():
            code = app(prog_name="simclr-keras", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)  # that of the command, once it is known
        command = context.command_path if context else "simclr-keras"
        message = f"{error.format_message().rstrip('.')}. See: {command} --help"
        code = _fail(message, error.exit_code)
    except CommandInterrupted as error:
        code = _fail(str(error), error.exit_code)
    except InputError as error:
        code = _fail(str(error), 2)
    except RunFailure as error:
        code = _fail(str(error), 1)
    except Exception as error:
        code = _fail(_explained(error), 1)
    sys.exit(code)


def _explained(error: Exception) -> str:
    if is_full(error):
        return f"The disk is full ({error}). Make room and run the same command again."
    if isinstance(error, OSError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error}"


def _terminate(number, frame) -> None:
    raise Interrupted("Ended by SIGTERM. Run the same command again.", number)


def _fail(message: str, code: int) -> int:
    _LOGGER.debug("What raised the error:", exc_info=True)
    print(f"simclr-keras: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
