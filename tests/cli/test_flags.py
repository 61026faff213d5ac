import ast
import logging
import pathlib
import re

import pytest

import simclr_keras
from simclr_keras.cli.flags import with_flags
from simclr_keras.cli.main import _WithFlags


@pytest.mark.parametrize(
    "message, spoken",
    [
        (
            "`batch_size` must be at least 1. Received: batch_size=0",
            "--batch-size must be at least 1. Received: --batch-size 0",
        ),
        (
            "Use `optimizer=sgd`. Received: optimizer='adam', name=x",
            "Use --optimizer sgd. Received: --optimizer 'adam', name=x",
        ),
        ("`run` has none. Received: run=runs/a", "RUN has none. Received: RUN runs/a"),
        ("Or pretrain with `skip`: skip=3", "Or pretrain with --skip: skip=3"),
        ("`other` and batch sizes stay: a.batch_size=3", None),
        ("The file /tmp/optimizer=3/x stays", None),
    ],
)
def test_settings_are_named_by_their_flags(message, spoken):
    said = with_flags(message, ["batch_size", "optimizer"], {"run": "RUN"}, ["skip", "run"])
    assert said == (spoken or message)


def test_what_is_logged_names_flags_too():
    record = logging.makeLogRecord({"msg": "Lower `%s`.", "args": ("learning_rate",)})
    assert _WithFlags("%(message)s").format(record) == "Lower --learning-rate."


# Not the properties of a style sheet, `--ink: black` and `var(--ink)`.
_FLAG = r"(?<![\w(-])--[a-z][\w-]+(?![\w:{-])"


def test_the_library_does_not_speak_flags():
    """Only `cli` does; elsewhere a flag may stand in a command that one is told to run."""
    package = pathlib.Path(simclr_keras.__file__).parent
    found = []
    for file in sorted(package.rglob("*.py")):
        if file.parent.name == "cli":
            continue
        tree = ast.parse(file.read_text())
        documented = [
            node for node in ast.walk(tree) if isinstance(node, ast.Expr)
        ]  # docstrings
        texts = {id(node.value) for node in documented}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in texts and re.search(_FLAG, node.value):
                    if "simclr-keras " not in node.value and "export RUN" not in node.value:
                        found.append(f"{file.name}:{node.lineno}: {node.value[:60]}")
    assert not found
