import dataclasses
import types

import pytest

from simclr_keras import PretrainConfig
from simclr_keras.errors import InputError
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.presets import (
    AUGMENTATIONS,
    PRESETS,
    AugmentName,
    PresetName,
)
from simclr_keras.runs.pretraining import build_augmenter, build_model, learning_rate_schedule
from simclr_keras.settings import choices_of


def _config(preset=None, **settings):
    settings = {"dataset": "digits", "run_dir": "r", **settings}
    return PretrainConfig.from_sources(preset, **settings)


def test_names():
    assert choices_of(PresetName) == tuple(PRESETS)
    assert choices_of(AugmentName) == tuple(AUGMENTATIONS)


@pytest.mark.parametrize("name", [*PRESETS, *AUGMENTATIONS])
def test_named_settings_are_settings_of_pretrain(name):
    named = {**PRESETS, **AUGMENTATIONS}[name]
    fields = {field.name for field in dataclasses.fields(PretrainConfig)}
    assert set(named.settings) <= fields - {"sources", "run_dir"}
    assert named.name == name and len(named.summary) < 96 and named.notes
    assert all(source for _, source in named.sourced.values())


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.usefixtures("single_blocks")
def test_every_preset_builds_and_its_run_continues(name, tmp_path):
    config = _config(name, run_dir=str(tmp_path / "run"))
    source = types.SimpleNamespace(channels=3, has_labels=False)
    model = build_model(config, source)
    has_kernels = any(layer.name.endswith("_share") for layer in model.encoder.layers)
    assert has_kernels == config.selective_kernel
    directory = RunDirectory(config.run_dir)
    directory.begin(config)
    directory.check(_config(name, run_dir=config.run_dir))
    directory.check(PretrainConfig.from_sources(config=directory.config_file))
    with pytest.raises(InputError, match="other settings: temperature"):
        directory.check(_config(name, run_dir=config.run_dir, temperature=0.3))


@pytest.mark.parametrize(
    "name, settings, peak",
    [
        ("simclr-v1-imagenet", {}, 4.8),  # Section 2.3
        ("simclr-v1-imagenet", {"batch_size": 256}, 1.2),
        ("simclr-v2-imagenet", {}, 6.4),  # Section 3.1
        ("cifar10", {}, 2.0),  # the release's 1.0 for each 256 images
        ("cifar10", {"batch_size": 256}, 1.0),
        ("cifar10", {"batch_size": 256, "learning_rate_scaling": "sqrt"}, 16.0),
        ("cifar10", {"optimizer": "adamw"}, 1e-3),
        ("small-images", {}, 4e-3),
        ("small-cpu", {}, 4e-3),
        (None, {"base_learning_rate": 0.2, "batch_size": 100}, 2.0),
        (None, {"base_learning_rate": 2e-4, "batch_size": 100, "optimizer": "adamw"}, 2e-3),
    ],
)
def test_peak_learning_rates(name, settings, peak):
    schedule = learning_rate_schedule(_config(name, **settings), 100)
    assert schedule.peak_learning_rate == pytest.approx(peak)


def test_one_learning_rate():
    with pytest.raises(InputError, match="Received: learning_rate=0.1, base_learning_rate=0.2"):
        _config(learning_rate=0.1, base_learning_rate=0.2)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("photos", {}),
        (
            "aerial",
            {
                "vertical_flip_probability": 0.5,
                "quarter_turns": True,
                "crop_area": (0.2, 1.0),
                "jitter_limits": (0.4, 0.4, 0.4, 0.1),
            },
        ),
        (
            "medical-gray",
            {
                "crop_area": (0.3, 1.0),
                "jitter_limits": (0.4, 0.4, 0.0, 0.0),
                "grayscale_probability": 0.0,
                "blur_probability": 0.0,
            },
        ),
        (
            "documents",
            {
                "flip_probability": 0.0,
                "crop_area": (0.4, 1.0),
                "jitter_limits": (0.4, 0.4, 0.4, 0.1),
            },
        ),
    ],
)
def test_augmentations_reach_the_augmenter(name, expected):
    papers = build_augmenter(_config()).policy
    policy = build_augmenter(_config(augment=name)).policy
    assert policy == dataclasses.replace(papers, **expected)
    assert build_augmenter(_config(solarize_probability=0.1)).policy.solarize_probability == 0.1
