"""Every default, written down a second time: changing one is a decision, not a slip."""

import dataclasses

import pytest

from simclr_keras import PretrainConfig, scale_learning_rate
from simclr_keras.checks.config import CheckDataConfig
from simclr_keras.classifiers.settings import TrainingSettings
from simclr_keras.embeddings.config import EmbedConfig, MapConfig, SearchConfig, SelectConfig
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig, ExportConfig, QuickstartConfig
from simclr_keras.training.defaults import (
    LEARNING_RATES,
    WEIGHT_DECAYS,
    default_learning_rate,
)
from simclr_keras.training.verify_config import VerifyConfig

NONE = object()
TRAINING = dict(
    epochs=None, steps=None, batch_size=None, optimizer="auto", learning_rate=None,
    weight_decay=0.0, crop_area_min=None, flip=None, mixed_precision="none", seed=0,
    max_bad_fraction=None,
)  # fmt: skip
CLASSIFIER = dict(
    **TRAINING, run=NONE, dataset=None, eval_dataset=None, data_dir=None, strategy="auto",
    name=None,
)  # fmt: skip
TRAINED = dict(run=None, official=None, image_size=None)
DEFAULTS = {
    PretrainConfig: dict(
        dataset=NONE, run_dir=NONE, data_dir=None, encoder="resnet50", weights=None,
        width_multiplier=1.0, small_image_stem=False, selective_kernel=False, projection_dim=128,
        projection_layers=2, projection_hidden_dim=None, image_size=224,
        image_size_schedule=None, views=2, batch_size=256, micro_batch_size=None,
        normalization="batch", epochs=None, steps=None, optimizer="lars", learning_rate=None,
        learning_rate_scaling="sqrt", weight_decay=None, warmup_fraction=0.1, loss="nt-xent",
        temperature=0.1, color_jitter_strength=1.0, crop_area_min=0.08, crop="auto", blur=True,
        flip=True, probe=False, profile=False, seed=0, strategy="auto", mixed_precision="none",
        checkpoint_every=None, skip_unreadable=False, max_bad_fraction=0.05, hold_out=None,
        sources=NONE,
        minutes=None, report=True, vertical_flip=False, quarter_turns=False,
        grayscale_probability=0.2,
        solarize_probability=0.0, saturation_jitter=0.8, hue_jitter=0.2, base_learning_rate=None,
    ),
    CheckDataConfig: dict(
        dataset=NONE, data_dir=None, min_side=32, near_bits=3, shown=10, output=None
    ),
    TrainingSettings: TRAINING,
    FineTuneConfig: dict(
        **CLASSIFIER, label_fraction=None, labels_per_class=None, labels=None, head_layers=None,
        from_scratch=False, frozen=False, validation_fraction=0.1, run_dir=None,
    ),
    DistillConfig: dict(
        **CLASSIFIER, teacher=None, student="pretrained", student_width=1.0, temperature=None,
        label_weight=0.0,
    ),
    EvaluateConfig: dict(
        **TRAINED, dataset=None, eval_dataset=None, data_dir=None, batch_size=256,
        compare=None, compare_random=False, protocol="lbfgs", epochs=None, learning_curve=False,
    ),
    ExportConfig: dict(
        **TRAINED, output=NONE, classifier=None, version=None, l2_normalise=False,
        weights_dtype="float32", licence=None,
    ),
    QuickstartConfig: dict(run_dir="runs/digits", output="saved_models/digits"),
    EmbedConfig: dict(
        model=NONE, images=NONE, output=NONE, batch_size=64, split=None, data_dir=None
    ),
    SearchConfig: dict(
        embeddings=NONE, queries=None, neighbours=10, duplicates=False, threshold=0.98,
        model=None, images=None, page=None,
    ),
    MapConfig: dict(
        embeddings=NONE, output=None, images=None, pictures=2000, projection="tsne",
        clusters=None, neighbours=10, threshold=0.98, seed=0,
    ),
    SelectConfig: dict(
        embeddings=NONE, output=NONE, count=100, labels=None, leave_out=None, seed=0
    ),
    VerifyConfig: dict(
        encoder="simclr_resnet18", image_size=32, width_multiplier=1.0, small_image_stem=False,
        replicas=2, batch_size=None, steps=5, optimizer="sgd", learning_rate=None, l2=0.0,
        tolerance=1e-5, seed=0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("config_class", DEFAULTS)
def test_defaults_of_settings(config_class):
    found = {
        field.name: NONE if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(config_class)
    }
    assert found == DEFAULTS[config_class]


def test_defaults_by_optimizer():
    assert WEIGHT_DECAYS == {
        "lars": 1e-6,
        "sgd": 1e-4,
        "adamw": 1e-4,
        "muon": 1e-4,
        "lamb": 0.0,
    }
    assert LEARNING_RATES == {
        "pretrain": {
            "lars": {"sqrt": 0.075, "linear": 0.3},
            "sgd": {"sqrt": 0.001875, "linear": 0.03},
            "adamw": {"constant": 0.001},
            "lamb": {"constant": 0.001},
            "muon": {"constant": 0.001},
        },
        "fine-tune": {
            "lars": {"sqrt": 0.005},
            "sgd": {"linear": 0.05},
            "adamw": {"constant": 0.001},
            "muon": {"constant": 0.001},
        },
        "distill": {
            "lars": {"sqrt": 0.1},
            "sgd": {"linear": 0.05},
            "adamw": {"constant": 0.001},
            "muon": {"constant": 0.001},
        },
    }


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("pretrain", "lars", 4096), 4.8),  # 0.075 * sqrt(4096)
        (("pretrain", "lars", 4096, "linear"), 4.8),  # 0.3 * 4096 / 256
        (("pretrain", "lars", 256, "linear"), 0.3),
        (("pretrain", "adamw", 4096, "linear"), 1e-3),
        (("fine-tune", "lars", 1024), 0.16),
        (("distill", "sgd", 128), 0.025),
    ],
)
def test_default_learning_rates(arguments, expected):
    assert default_learning_rate(*arguments) == pytest.approx(expected)
    assert scale_learning_rate(0.5, 256, "linear") == 0.5
