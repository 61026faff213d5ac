import errno
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT

from simclr_keras.cli.main import main

SMALL = (
    "--encoder simclr_resnet18 --width-multiplier 0.125 --small-image-stem --image-size 16 "
    "--batch-size 4 --steps 2"
).split()


def _cli(*arguments, cwd=ROOT):
    return subprocess.run(
        [sys.executable, "-m", "simclr_keras", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )


# Several commands in one process.
SESSION = """
import contextlib, io, json, logging, sys
from simclr_keras.cli.main import main

def run(arguments):
    sys.argv = ["simclr-keras", *arguments]
    logging.getLogger().handlers.clear()  # the last command's writes to its own output
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stopped:
            return stopped.code or 0, out.getvalue(), err.getvalue()

print(json.dumps([run(arguments) for arguments in json.loads(sys.argv[1])]))
"""


# ResNet-18 with one of its eight blocks.
SHORT_NETWORK = """
from simclr_keras.networks.resnet import BLOCK_GROUPS

BLOCK_GROUPS[18] = ((0, 0, 0, 1), False)
"""


def _session(run_python, *commands, begin=SHORT_NETWORK, **options):
    """What `_cli` returns for each of the commands, which one process runs."""
    commands = [[str(argument) for argument in command] for command in commands]
    results = json.loads(
        run_python(begin + SESSION, json.dumps(commands), **options).splitlines()[-1]
    )
    return [subprocess.CompletedProcess(*run) for run in zip(commands, *zip(*results))]


def _one_line(returncode, stderr, code):
    ours = [line for line in stderr.splitlines() if line.startswith("simclr-keras: ")]
    assert returncode == code, stderr
    assert len(ours) == 1 and "Traceback" not in stderr
    return ours[0]


@pytest.mark.slow
@pytest.mark.parametrize("flags", [(), ("--debug",)])
def test_a_traceback_is_shown_where_it_is_asked_for(tmp_path, flags):
    result = _cli(*flags, "report", tmp_path / "nothing")
    assert result.returncode == 2
    assert ("Traceback" in result.stderr) == bool(flags)
    assert result.stderr.splitlines()[-1].startswith("simclr-keras: There is no run in ")


@pytest.mark.parametrize(
    "command, flags",
    [
        ("pretrain", ("--dataset", "--run-dir", "--crop-area-min", "--mixed-precision")),
        (
            "fine-tune",
            ("RUN", "--labels-per-class", "--head-layers", "--from-scratch", "--steps"),
        ),
        ("distill", ("RUN", "--teacher", "--temperature", "--optimizer")),
    ],
)
def test_help_does_not_import_tensorflow(command, flags):
    script = (
        f"import sys; sys.argv = ['simclr-keras', '{command}', '--help']\n"
        "from simclr_keras.cli.main import main\n"
        "try: main()\n"
        "finally: assert not {'tensorflow', 'keras', 'sklearn'} & set(sys.modules)"
    )
    environment = {**os.environ, "COLUMNS": "200"}
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    for flag in flags:
        assert flag in result.stdout


@pytest.mark.slow
def test_from_a_folder_to_embeddings(image_folder, tmp_path, run_python):
    run, model, output = (
        tmp_path / "run",
        tmp_path / "saved_models" / "pets",
        tmp_path / "e.npz",
    )
    broken = shutil.copytree(image_folder, tmp_path / "broken")
    (broken / "cats" / "broken.png").write_bytes(b"no image")
    pretrain = ("pretrain", "--dataset", image_folder, "--run-dir", run, *SMALL)
    first, again, evaluated, exported, tuned, distilled, embedded, found, refused = _session(
        run_python,
        (*pretrain, "--json"),
        pretrain,
        ("evaluate", run, "--json"),
        ("export", run, "--output", model),
        ("fine-tune", run, "--labels-per-class", 2, "--steps", 1, "--json"),
        ("distill", run, "--steps", 1),
        ("embed", model, broken, "--output", output),
        ("search", output, "cats/00.png", "-k", "3", "--json"),
        ("pretrain", "--dataset", broken, "--run-dir", tmp_path / "r2", *SMALL),
    )
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout.splitlines()[-1])["steps"] == 2
    assert "is finished" in again.stdout
    assert evaluated.returncode == 0, evaluated.stderr
    assert 0 <= json.loads(evaluated.stdout.splitlines()[-1])["knn_accuracy"] <= 1
    assert exported.returncode == 0, exported.stderr
    assert tuned.returncode == 0, tuned.stderr
    assert json.loads(tuned.stdout.splitlines()[-1])["labels"] == 4
    assert distilled.returncode == 0, distilled.stderr
    assert "distilled/2-per-class-seed0: 9 images, 1 steps of 9" in distilled.stdout
    commands = [e["command"] for e in json.loads((run / "results.json").read_text())]
    assert [c.split()[1] for c in commands] == ["evaluate", "fine-tune", "distill"]
    assert embedded.returncode == 3
    assert (
        "unreadable: cats/broken.png (not a JPEG, PNG, GIF, BMP or WebP image)"
        in embedded.stderr
    )
    assert np.load(output)["embeddings"].shape == (12, 64)
    assert found.returncode == 0, found.stderr
    (row,) = json.loads(found.stdout.splitlines()[-1])["rows"]
    assert [m["path"] in found.stdout for m in row["matches"]] == [True] * 3
    assert (tmp_path / "e_neighbours.html").exists()
    # A folder with such a file refuses to train, in one line, and leaves no run behind.
    assert "broken.png" in _one_line(refused.returncode, refused.stderr, 2)
    assert not (tmp_path / "r2").exists()


@pytest.mark.slow
def test_weights_of_the_original_release(image_folder, tmp_path, run_python):
    archive = ROOT.parent / "shared" / "fixtures" / "official_checkpoints" / "r18_1x_sk0.tar.gz"
    if not archive.exists():
        pytest.skip(f"the fixtures are not beside the checkout ({archive})")
    exported, evaluated = _session(
        run_python,
        ("export", "--official", archive, "--output", "m", "--json"),
        ("evaluate", "--official", archive, "--dataset", image_folder, "--json"),
        begin="",
        cwd=tmp_path,
    )
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout.splitlines()[-1])["path"] == os.path.join("m", "1")
    assert evaluated.returncode == 0, evaluated.stderr
    results = json.loads(evaluated.stdout.splitlines()[-1])
    assert results["train_images"] + results["test_images"] == 12


@pytest.mark.parametrize(
    "arguments, text",
    [
        (
            ["pretrain"],
            "--dataset and --run-dir must be given, or named in the file of --config",
        ),
        (["nonsense"], "nonsense"),
        (["pretrain", "--dataset", "missing/", "--run-dir", "r"], "missing"),
        (
            ["pretrain", "--dataset", "digits", "--run-dir", "r", "--temperature", "0"],
            "positive",
        ),
        (["evaluate", "no-run"], "There is no run in no-run"),
        (["export", "no-run", "--output", "m"], "There is no run in no-run"),
        (["export", "--output", "m"], "Name either a run directory or, with --official"),
        (
            ["export", "--official", "none", "--output", "m"],
            "no checkpoint of the SimCLR release",
        ),
        (["embed", "no-model", ".", "--output", "e.npz"], "no exported model in no-model"),
        (["fine-tune", "no-run", "--label-fraction", "0.1"], "There is no run in no-run"),
        (["fine-tune", "no-run", "--label-fraction", "2"], "--label-fraction must be in"),
        (["distill", "no-run", "--temperature", "0"], "--temperature must be positive"),
        (["export", "--output", "m", "--classifier", "c"], "--classifier needs a run"),
        (["search", "e.npz"], "Name images to search for, or pass --duplicates"),
        (["search", "e.npz", "q.jpg"], "There is no file e.npz"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys, arguments, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["simclr-keras", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert text in _one_line(stopped.value.code, capsys.readouterr().err, 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error, said",
    [
        (
            RuntimeError("{{node x}} write failed;\nNo space left on device"),
            "The disk is full ({{node x}} write failed; No space left on device). Make room",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a.npz"),
            "The disk is full (.*a.npz'",
        ),
        (
            OSError(errno.EACCES, "Permission denied", "a.npz"),
            "[Errno 13] Permission denied: 'a.npz'",
        ),
        (RuntimeError("other"), "unexpected RuntimeError: other"),
    ],
)
def test_errors_of_libraries_are_one_line(monkeypatch, capsys, error, said):
    def fail(**_):
        raise error

    monkeypatch.setattr("simclr_keras.cli.main.app", fail)
    monkeypatch.setattr(sys, "argv", ["simclr-keras", "--debug"])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    said = re.escape(said).replace(r"\.\*", ".*")
    assert ended.value.code == 1 and re.match(f"simclr-keras: {said}", line), line


def test_wrong_use_in_a_process_of_its_own(tmp_path):
    result = _cli("distill", "no-run", "--temperature", "0", cwd=tmp_path)
    message = _one_line(result.returncode, result.stderr, 2)
    assert "--temperature must be positive" in message and result.stdout == ""
    assert list(tmp_path.iterdir()) == []
