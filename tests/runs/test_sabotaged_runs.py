"""Runs that cannot learn are told what is wrong with them, and one that can is not."""

import dataclasses
import logging

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK

from simclr_keras import load_source, pretrain
from simclr_keras.networks.resnet import BLOCK_GROUPS
from simclr_keras.runs.quickstart import pretrain_config

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("two_blocks")]
# Without batch norm, whose outputs do not grow with the weights, a high rate is fatal.
GROUP = {"normalization": "group", "temperature": 0.2}


@pytest.fixture(scope="module")
def two_blocks():
    """As many blocks as it takes to see the runs apart."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BLOCK_GROUPS, 18, ((1, 0, 0, 1), False))
        yield


def _run(path, **changes):
    """The quickstart with a quarter of the batch and 40 % of the steps."""
    settings = {**SMALL_NETWORK, "batch_size": 64, "steps": 200, "checkpoint_every": 25}
    made = pretrain_config(str(path / "run"))
    return pretrain(dataclasses.replace(made, **{**settings, **changes}))


def _kinds(result):
    return [finding.kind for finding in result.findings]


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.2}, {"temperature": 1.0}, GROUP])
def test_healthy_runs_are_left_alone(tmp_path, caplog, changes):
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        result = _run(tmp_path, **changes)
    assert result.findings == [] and not [r for r in caplog.records if r.name == "simclr_keras"]
    assert result.last_measurement.knn_accuracy > 1.5 * result.first_measurement.knn_accuracy
    assert (
        result.last_measurement.effective_rank > 1.5 * result.first_measurement.effective_rank
    )


@pytest.mark.parametrize(
    "changes, kind, advice",
    [
        ({**GROUP, "learning_rate": 0.4}, "collapsed_features", "lower `learning_rate`"),
        ({"learning_rate": 4e-5}, "learning_rate_too_low", "Raise `learning_rate`"),
        (
            {"color_jitter_strength": 0.0, "crop_area_min": 1.0},
            "views_too_alike",
            "lower `crop_area_min`",
        ),
        ({"temperature": 0.001}, "temperature_too_low", "Raise `temperature`"),
    ],
    ids=["rate times 100", "rate / 100", "equal views", "temperature 0.001"],
)
def test_what_is_wrong_is_said(tmp_path, caplog, changes, kind, advice):
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        result = _run(tmp_path, **changes)
    assert _kinds(result) == [kind]
    assert any(record.getMessage().startswith("Step ") for record in caplog.records)
    last = caplog.records[-1].getMessage()
    assert last.startswith("At the end of the run: ") and advice in last


def test_labels_as_images(tmp_path):
    """Every image of a class is the same picture."""
    digits = load_source("digits", "train")
    for label in range(10):
        folder = tmp_path / "data" / str(label)
        folder.mkdir(parents=True)
        image = digits.images[np.flatnonzero(digits.labels == label)[0]]
        for copy in range(20):
            (folder / f"{copy}.png").write_bytes(tf.io.encode_png(image).numpy())
    result = _run(tmp_path, dataset=str(tmp_path / "data"), steps=50)
    assert _kinds(result) == ["repeated_images"]
    assert result.first_measurement.part == "held_out"
