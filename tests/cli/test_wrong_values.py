"""Every flag of every command with values that no one can mean: refused on one line, nothing written."""

import dataclasses
import math
import types
import typing

import pytest
from typer.testing import CliRunner

import simclr_keras as sk
from simclr_keras.cli.main import app
from simclr_keras.settings import choices_of

# command -> its settings, and a valid call.
COMMANDS = {
    "pretrain": (sk.PretrainConfig, {"dataset": "digits", "run_dir": "run"}),
    "check-data": (sk.CheckDataConfig, {"dataset": "photos"}),
    "evaluate": (sk.EvaluateConfig, {"run": "run"}),
    "fine-tune": (sk.FineTuneConfig, {"run": "run"}),
    "distill": (sk.DistillConfig, {"run": "run"}),
    "export": (sk.ExportConfig, {"run": "run", "output": "model"}),
    "embed": (sk.EmbedConfig, {"model": "model", "images": "images", "output": "e.npz"}),
    "search": (sk.SearchConfig, {"embeddings": "e.npz", "queries": ["a.jpg"]}),
    "map": (sk.MapConfig, {"embeddings": "e.npz"}),
    "select": (sk.SelectConfig, {"embeddings": "e.npz", "output": "l.csv"}),
    "report": (sk.ReportConfig, {"run": "run"}),
    "quickstart": (sk.QuickstartConfig, {}),
    "verify-replicas": (sk.VerifyConfig, {}),
}
# What is fine although it is zero or negative.
ZERO_IS_FINE = {
    *("seed", "hold_out", "head_layers", "projection_layers", "validation_fraction"),
    *("color_jitter_strength", "saturation_jitter", "hue_jitter", "grayscale_probability"),
    *("solarize_probability", "weight_decay", "warmup_fraction", "label_weight", "threshold"),
    *("l2", "tolerance", "pictures", "max_bad_fraction", "near_bits", "shown"),
}
NEGATIVE_IS_FINE = {"seed"}


def _kinds(hint) -> set[type]:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return set().union(*(_kinds(part) for part in typing.get_args(hint)))
    return {hint} if isinstance(hint, type) else set()


def _wrong(name: str, hint) -> list:
    kinds = _kinds(hint)
    if choices_of(hint):
        return ["", "bogus", "NONE"]
    if kinds & {int, float}:
        wrong: list = [10**30, -(10**30)]
        if name not in ZERO_IS_FINE:
            wrong.append(0)
        if name not in NEGATIVE_IS_FINE:
            wrong.append(-2)
        if float in kinds:
            wrong = [float(x) for x in wrong if abs(x) < 10**9] + [
                math.nan,
                math.inf,
                -math.inf,
            ]
        return wrong
    return ["", "a\0b"] if str in kinds else []


CASES = [
    pytest.param(command, field.name, value, id=f"{command}-{field.name}={value!r}")
    for command, (config, _) in COMMANDS.items()
    for field in dataclasses.fields(config)
    if "help" in field.metadata
    for value in _wrong(field.name, typing.get_type_hints(config)[field.name])
]


def test_the_cases_are_of_all_commands():
    assert {command for command, _, _ in (case.values for case in CASES)} == set(COMMANDS)
    commands = {
        command.name or command.callback.__name__ for command in app.registered_commands
    }
    assert set(COMMANDS) <= {name.replace("_", "-") for name in commands}
    assert len(CASES) > 250


@pytest.mark.parametrize("command, name, value", CASES)
def test_settings_refuse_it(command, name, value):
    config, valid = COMMANDS[command]
    with pytest.raises(sk.InputError) as refused:
        config(**{**valid, name: value})
    assert f"`{name}`" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_line_refuses_numbers_that_are_words(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, valid = COMMANDS[command]
    hints = typing.get_type_hints(config)
    arguments = []
    for field in dataclasses.fields(config):
        if field.name in valid:
            given = valid[field.name]
            given = given if isinstance(given, list) else [given]
            if not field.metadata["argument"]:
                arguments.append(f"--{field.name.replace('_', '-')}")
            arguments += given
    for field in dataclasses.fields(config):
        kinds = _kinds(hints[field.name])
        if "help" in field.metadata and kinds & {int, float} and bool not in kinds:
            flag = f"--{field.name.replace('_', '-')}"
            done = CliRunner().invoke(app, [command, *arguments, flag, "many"])
            assert done.exit_code == 2 and flag in done.output, (flag, done.output)
    assert not list(tmp_path.iterdir())
