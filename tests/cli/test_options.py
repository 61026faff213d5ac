"""Settings from flags, presets, files and augmentations on the command line."""

import dataclasses
import json
import re
import shlex
import sys

import pytest
from processes import ROOT

from simclr_keras.cli.main import main
from simclr_keras.runs import pretrain as pretrain_module
from simclr_keras.runs.pretrain import PretrainResult
from simclr_keras.runs.pretrain_config import PretrainConfig


@pytest.fixture
def config_of(monkeypatch, tmp_path):
    """The `PretrainConfig` that a command line makes."""
    monkeypatch.chdir(tmp_path)
    configs = []

    def keep(config):
        configs.append(config)
        return PretrainResult(config.run_dir, 1, 1, None)

    monkeypatch.setattr(pretrain_module, "pretrain", keep)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["simclr-keras", "pretrain", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        return configs.pop()

    return run


def test_only_flags_that_are_given_count(config_of):
    config = config_of(
        *"--preset cifar10 --run-dir r --batch-size 256 --blur --augment aerial".split()
    )
    assert config.batch_size == 256 and config.blur and config.epochs == 1000
    given = {name for name, source in config.sources.items() if source == "given"}
    assert given == {"run_dir", "batch_size", "blur"}  # 256 is the default too
    assert config.dataset == "cifar10" and config.vertical_flip
    assert set(config.sources.values()) == {"given", "preset cifar10", "augment aerial"}


def test_data_and_run_may_be_named_in_the_file(config_of, tmp_path):
    (tmp_path / "a.yaml").write_text(
        "dataset: digits\nrun_dir: r\ncolor_jitter_strength: 0.3\n"
    )
    config = config_of("--config", "a.yaml", "--run-dir", "s")
    assert (config.dataset, config.run_dir) == ("digits", "s")
    assert config.color_jitter_strength == 0.3
    assert config.sources == {
        "dataset": "file a.yaml",
        "run_dir": "given",
        "color_jitter_strength": "file a.yaml",
    }


def test_the_preset_small_images_is_the_command_that_was_measured(config_of):
    command = """pretrain --dataset cifar10 --encoder simclr_resnet18 --width-multiplier 0.25
        --small-image-stem --image-size 32 --batch-size 256 --temperature 0.2 --crop-area-min 0.2
        --color-jitter-strength 0.5 --no-blur --optimizer adamw --learning-rate 4e-3
        --warmup-fraction 0.05 --steps 1200 --run-dir runs/cifar10"""
    _, *flags = shlex.split(command)
    assert config_of(*flags) == PretrainConfig.from_sources(
        "small-images", dataset="cifar10", run_dir="runs/cifar10"
    )


def test_the_reference_model_is_that_of_the_command_of_the_readme(config_of):
    text = (ROOT / "README.md").read_text()
    command = re.search(
        r"simclr-keras (pretrain --dataset cifar10 .*?)\nsimclr", text, re.DOTALL
    )
    _, *flags = shlex.split(command[1])
    file = ROOT / "saved_models" / "cifar10-airbench" / "1" / "metadata.json"
    settings = dataclasses.asdict(config_of(*flags))
    trained = json.loads(file.read_text())["training_run"]
    assert {"dataset", "steps", "image_size_schedule", "weight_decay", "seed"} < trained.keys()
    assert {name: settings[name] for name in trained} == trained
