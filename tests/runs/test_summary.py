"""What a person reads before the first step."""

import logging

import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, pretrain
from simclr_keras.runs.summary import short_advice, slow_advice

pytestmark = pytest.mark.usefixtures("short_resnet")


def _summary(caplog, path, **settings):
    run = {**SMALL_NETWORK, "dataset": "digits", "image_size": 8, "batch_size": 32, "steps": 1}
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        pretrain(PretrainConfig(run_dir=str(path), **{**run, **settings}))
    [text] = [r.getMessage() for r in caplog.records if r.getMessage().startswith("Images")]
    return dict(line.split(maxsplit=1) for line in text.splitlines())


def test_the_summary_says_what_will_happen(caplog, tmp_path):
    rows = _summary(caplog, tmp_path / "run")
    assert rows["Images"] == "1,437 of digits, 10 classes (labels are not used)"
    # One block of 8 and one of 64 filters; h has 64 numbers; the head 64 -> 64 -> 128.
    assert (
        rows["Encoder"].startswith("simclr_resnet18, 0.0") and "64 features" in rows["Encoder"]
    )
    assert rows["Views"] == (
        "two of 8 x 8 pixels: crops of 8% to 100%, flip, colour jitter 1, grayscale 20%, blur"
    )
    # ln(63) = 4.143
    assert rows["Batch"] == (
        "32 images: 62 negatives for each view; a collapsed encoder has a loss of 4.143"
    )
    assert rows["Length"] == "1 steps, 0.0227 epochs of 44"
    # 0.075 * sqrt(32) = 0.4243
    assert rows["Optimizer"] == (
        "lars, peak learning rate 0.4243 (default: 0.075 * sqrt(batch)), warm-up 10%"
    )
    assert rows["Precision"] == "float32" and rows["Run"] == str(tmp_path / "run")
    assert rows["Devices"].startswith("processor with ") or " GPU" in rows["Devices"]


@pytest.mark.slow
def test_the_summary_follows_the_settings(caplog, tmp_path):
    rows = _summary(
        caplog,
        tmp_path / "run",
        optimizer="adamw",
        learning_rate=0.002,
        warmup_fraction=0.25,
        blur=False,
        flip=False,
        crop_area_min=0.2,
        mixed_precision="bfloat16",
    )
    assert rows["Optimizer"] == "adamw, peak learning rate 0.002 (given), warm-up 25%"
    assert (
        rows["Views"]
        == "two of 8 x 8 pixels: crops of 20% to 100%, colour jitter 1, grayscale 20%"
    )
    assert rows["Precision"] == "bfloat16, with weights in float32"
    # Two more numbers for each weight with AdamW, beside weights and gradients.
    assert "MB for weights, gradients and optimizer, about " in rows["Memory"]
    assert rows["Memory"].endswith(" MB for activations")


@pytest.mark.slow
def test_more_views_have_more_negatives(caplog, tmp_path):
    rows = _summary(caplog, tmp_path / "run", views=4, loss="decoupled")
    assert rows["Views"].startswith("four of 8 x 8 pixels: ")
    # 4 * 31 = 124; ln(124) = 4.820
    assert rows["Batch"] == (
        "32 images: 124 negatives for each view; a collapsed encoder has a loss of 4.820"
    )


@pytest.mark.slow
def test_views_that_grow_are_said(caplog, tmp_path):
    rows = _summary(caplog, tmp_path / "run", image_size_schedule="4@0,8@0.5")
    assert rows["Views"].startswith(
        "two of growing size, in pixels 4 from 0% on, 8 from 50% on:"
    )


@pytest.mark.parametrize(
    "gpus, days, told", [([], 11, True), ([], 1, False), (["gpu"], 11, False)]
)
def test_an_absurd_time_is_called_so(monkeypatch, gpus, days, told):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    advice = slow_advice(days * 86_400)
    assert (advice is not None) == told
    assert short_advice(200) is None
    if told:
        assert "11 days on this processor" in advice and "`minutes`" in advice
