import logging
import shutil

import pytest

from simclr_keras import PretrainConfig
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig, ReportConfig
from simclr_keras.runs.distill import distill_run
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.report import report
from simclr_keras.runs.run_source import run_source


@pytest.fixture
def run(image_folder, tmp_path, untrained_run):
    """A finished run on a folder of 12 images and a broken one, which it left out."""
    (image_folder / "cats" / "broken.png").write_bytes(b"no image")
    settings = {"batch_size": 4, "skip_unreadable": True}
    return untrained_run(tmp_path / "run", image_folder, **settings)


@pytest.mark.slow
def test_what_a_run_left_out_later_commands_leave_out_too(run, image_folder, caplog):
    training = dict(run=str(run), steps=1, batch_size=4)
    other = shutil.copytree(image_folder, run.parent / "other")
    commands = {
        "evaluate": lambda: evaluate(EvaluateConfig(run)),
        "evaluate elsewhere": lambda: evaluate(EvaluateConfig(run, eval_dataset=str(other))),
        "fine-tune": lambda: fine_tune_run(FineTuneConfig(**training)),
        "distill": lambda: distill_run(DistillConfig(**training)),
        "report": lambda: report(ReportConfig(str(run))),
    }
    measured = {}
    for name, command in commands.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "simclr_keras"):
            measured[name] = command()
        for folder in (image_folder, other) if "else" in name else (image_folder,):
            assert f"1 of 13 images in {folder} cannot be read: cats/broken" in caplog.text
    for name, images in (("evaluate", (9, 3)), ("evaluate elsewhere", (12, 12))):
        assert (measured[name].train_images, measured[name].test_images) == images
    assert measured["fine-tune"].labels == measured["distill"].images == 9
    assert measured["fine-tune"].test_images == 3


def test_the_seed_and_the_folder_of_the_run_are_taken(image_folder, monkeypatch):
    def test_paths(**settings):
        settings = {"dataset": str(image_folder), "run_dir": "run", **settings}
        return run_source(PretrainConfig(**settings), "test").paths

    assert test_paths(seed=1) == test_paths(seed=1) != test_paths(seed=2)
    asked = []
    monkeypatch.setattr(
        "simclr_keras.runs.run_source.load_source", lambda *a, **k: asked.append((a, k))
    )
    run = PretrainConfig(
        dataset="cifar10", run_dir="run", data_dir="/data", skip_unreadable=True
    )
    run_source(run, "train")
    run_source(run, "test", "cifar100", "/other", hold_out=False, labelled=False)
    common = dict(seed=0, skip_unreadable=True)
    assert asked == [
        (("cifar10", "train"), dict(data_dir="/data", hold_out=True, labelled=True, **common)),
        (
            ("cifar100", "test"),
            dict(data_dir="/other", hold_out=False, labelled=False, **common),
        ),
    ]
