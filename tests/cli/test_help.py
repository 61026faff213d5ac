"""What `--help` and `--version` print, and how a wrong command line is answered."""

import logging
import re
import sys

import pytest
import typer.rich_utils
from processes import ROOT

import simclr_keras
from simclr_keras.classifiers import distill, fine_tune, settings
from simclr_keras.cli.main import app, main
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.presets import AUGMENTATIONS, PRESETS
from simclr_keras.runs.pretrain_config import PretrainConfig

COMMANDS = {command.name: command for command in typer.main.get_command(app).commands.values()}


@pytest.fixture
def run_main(monkeypatch, capsys):
    """Runs a command line; returns its exit code, standard output and standard error."""

    def run(*arguments, columns=80):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(typer.rich_utils, "FORCE_TERMINAL", False)  # no colours
        monkeypatch.setattr(sys, "argv", ["simclr-keras", *arguments])
        monkeypatch.setattr(logging.getLogger(), "handlers", [])  # so that `main` adds its own
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return stopped.value.code or 0, said.out, said.err

    return run


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_no_name_of_an_option_is_cut_at_80_columns(run_main, command):
    group = typer.main.get_command(app)
    parameters = COMMANDS[command].params if command else group.params
    code, text, _ = run_main(*([command] if command else []), "--help")
    assert code == 0 and max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    begins = re.compile(r"^│ \*? *(\S+)")  # the first word of a line in a panel
    listed = {found[1] for line in text.splitlines() if (found := begins.match(line))}
    for parameter in parameters:
        if parameter.param_type_name == "option":
            assert parameter.opts[-1] in listed
            assert all(name in text for name in parameter.secondary_opts)


def test_options_are_in_panels(run_main):
    _, text, _ = run_main("pretrain", "--help")
    panels = re.split(r"╭─ (\w+) ─+╮", text)[1:]
    names = {
        title: re.findall(r"^│ \*? *(--\S+)", body, re.MULTILINE)
        for title, body in zip(panels[::2], panels[1::2])
    }
    assert list(names) == ["Options", "Data", "Views", "Network", "Training", "Run"]
    assert {"--preset", "--config"} <= set(names["Options"])
    assert names["Views"][0] == "--augment"
    assert names["Data"] == [
        *("--dataset", "--data-dir", "--skip-unreadable", "--max-bad-fraction", "--hold-out")
    ]
    assert {"--crop", "--image-size"} <= set(names["Views"])
    assert {"--encoder", "--normalization"} <= set(names["Network"])
    assert {"--steps", "--temperature"} <= set(names["Training"])
    assert {"--run-dir", "--seed"} <= set(names["Run"])


def test_choices_and_ranges_are_in_the_help(run_main):
    _, text, _ = run_main("pretrain", "--help", columns=200)
    assert "Optimizer. (lars, lamb, sgd, adamw, muon)" in text
    assert "nt-xent, or decoupled for small batches." in text  # not listed again
    assert "Temperature of the loss. (positive)" in text
    assert f"({', '.join(PRESETS)})" in text and f"({', '.join(AUGMENTATIONS)})" in text
    assert text.count("Required, here or in a file.") == 2


@pytest.mark.parametrize("command, epochs", [("fine-tune", 60), ("distill", 100)])
def test_the_default_length_is_the_one_in_the_help_and_on_the_page(run_main, command, epochs):
    _, text, _ = run_main(command, "--help", columns=250)
    assert (
        "Default: to fine-tune 60 (30 from 50,000 labels on), to distill 100, and at least 400"
        in text
    )
    assert (fine_tune._EPOCHS, fine_tune._EPOCHS_OF_MANY, fine_tune._MANY_LABELS) == (
        60,
        30,
        50_000,
    )
    assert (distill._EPOCHS, settings._LEAST_STEPS) == (100, 400)
    page = " ".join((ROOT / "docs" / "few-labels.md").read_text().split())
    assert f"{epochs} passes" in page and page.count("but at least 400 steps") == 2


def test_version(run_main):
    assert run_main("--version") == (0, f"simclr-keras {simclr_keras.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["export", "run"], "'--output'. See: simclr-keras export --help"),
        (["fine-tune"], "argument 'RUN'. See: simclr-keras fine-tune --help"),
        (["pretrain", "--steps", "x"], "integer. See: simclr-keras pretrain --help"),
        (["nonsense"], "No such command 'nonsense'. See: simclr-keras --help"),
    ],
)
def test_a_wrong_command_line_points_to_the_help_of_its_command(run_main, arguments, text):
    code, _, error = run_main(*arguments)
    assert code == 2 and error.endswith(f"{text}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("pretrain", "--dataset", "digits", "--run-dir", "r"),
        ("fine-tune", "r"),
        ("distill", "r"),
    ],
)
def test_steps_beside_epochs_is_an_error(run_main, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    code, _, error = run_main(*arguments, "--steps", "2", "--epochs", "100")
    assert code == 2
    ways = (
        "--epochs, --steps or --minutes" if "pretrain" in arguments else "--epochs or --steps"
    )
    assert error == (
        f"simclr-keras: Choose the length in one way, {ways}. "
        "Received: --epochs 100, --steps 2\n"
    )


def test_lengths():
    run = {"dataset": "digits", "run_dir": "r"}
    assert PretrainConfig(**run).total_steps(7) == 700
    assert PretrainConfig(**run, epochs=3).total_steps(7) == 21
    assert PretrainConfig(**run, steps=5).total_steps(7) == 5
    for config in (FineTuneConfig, DistillConfig):
        with pytest.raises(simclr_keras.errors.InputError, match="Choose the length"):
            config(run="r", steps=1, epochs=1)


def test_a_command_says_the_same_warning_once(run_main, image_folder, untrained_run, tmp_path):
    """`evaluate` reads the folder twice: for its training part and for its test part."""
    (image_folder / "cats" / "broken.png").write_bytes(b"no image")
    (image_folder / "notes.txt").write_text("no image either")
    settings = {"batch_size": 4, "skip_unreadable": True}
    run = untrained_run(tmp_path / "run", image_folder, **settings)
    code, _, error = run_main("evaluate", str(run))
    assert code == 0
    assert error.count("cannot be read: cats/broken.png") == 1
    assert error.count("Ignored in") == 1
