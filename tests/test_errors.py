import io
import logging
import pickle

import pytest

from simclr_keras.cli.options import say
from simclr_keras.errors import InputError, RunFailure, named, printable, printable_lines
from simclr_keras.progress import StandardErrorHandler

READABLE = "\u00e9 \u6587\u0641\u200c\u0627 \U0001f469\u200d\U0001f52c.jpg"
NAME = f"\x1b[2J\x07\u202egpj.\u2028\x85\udce9\n{READABLE}"
SHOWN = f"\\x1b[2J\\x07\\u202egpj.\\u2028\\x85\\xe9\\n{READABLE}"


def test_only_what_a_terminal_would_obey_is_escaped():
    assert printable(NAME) == SHOWN
    assert printable(SHOWN) == SHOWN  # again, as a message may pass several places
    assert printable_lines(f"{NAME}\nb") == f"{printable_lines(NAME)}\nb"
    assert named([NAME, "b", "c", "d"]) == f"{SHOWN}, b, c and 1 more"


@pytest.mark.parametrize("kind", [InputError, RunFailure])
def test_errors_are_printable(kind):
    error = kind(f"There is no {NAME}.")
    assert "\x1b" not in str(error) and str(error).replace("\n", "").encode()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_log_and_what_commands_print_are_too(monkeypatch, capsys):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    StandardErrorHandler().emit(
        logging.LogRecord("simclr_keras", logging.WARNING, "", 0, "read %s", (NAME,), None)
    )
    assert stream.getvalue().startswith("read \\x1b[2J\\x07")
    say(f"read {NAME}")
    assert capsys.readouterr().out.startswith("read \\x1b[2J\\x07")
