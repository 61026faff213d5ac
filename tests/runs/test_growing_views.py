"""Runs whose views grow."""

import csv

import numpy as np
import pytest
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, SimCLRAugmenter, pretrain
from simclr_keras.errors import InputError
from simclr_keras.runs.directory import RunDirectory

pytestmark = pytest.mark.usefixtures("short_resnet")


def _config(path, dataset="digits", **settings):
    run = {**SMALL_NETWORK, "batch_size": 8, "image_size": 12, "steps": 10, "blur": False}
    run |= {"image_size_schedule": "4@0,8@0.3,12@0.7", "checkpoint_every": 2, "hold_out": None}
    return PretrainConfig(dataset=str(dataset), run_dir=str(path), **{**run, **settings})


@pytest.fixture
def traced(monkeypatch):
    """(size, views) of every trace of the augmenter in training."""
    traced = []
    call = SimCLRAugmenter.call

    def spy(self, images, seed=None, first_position=0):
        views = call(self, images, seed, first_position)
        traced.append(views[0].shape[1])
        return views

    monkeypatch.setattr(SimCLRAugmenter, "call", spy)
    return traced


def _outcome(path):
    with (path / "history.csv").open() as file:
        rows = [
            {k: v for k, v in row.items() if k != "images_per_second"}
            for row in csv.DictReader(file)
        ]
    return rows, RunDirectory(path).load_encoder().get_weights()


@pytest.mark.slow
def test_views_grow_between_intervals_and_a_run_that_goes_on_is_the_same(
    tmp_path, traced, interrupted_after
):
    """0.3 and 0.7 of ten steps are 3 and 7: the intervals of two steps end at 4 and 8."""
    pretrain(_config(tmp_path / "whole"))
    in_training = [size for i, size in enumerate(traced) if not i or size != traced[i - 1]]
    assert [size for size in in_training if size != 12] == [4, 8] and in_training[-1] == 12
    rows, weights = _outcome(tmp_path / "whole")
    assert [row["step"] for row in rows] == ["2", "4", "6", "8", "10"]
    for stop in (1, 3):
        path = tmp_path / f"stopped{stop}"
        with interrupted_after(stop):
            pretrain(_config(path))
        pretrain(_config(path))
        again, others = _outcome(path)
        assert again == rows
        for a, b in zip(weights, others, strict=True):
            np.testing.assert_array_equal(a, b)


def test_views_do_not_shrink_if_a_budget_lengthens_the_run():
    from simclr_keras import ProjectionHead, SimCLR, build_encoder
    from simclr_keras.runs.growing_views import GrowingViews
    from simclr_keras.training.length import Length
    from simclr_keras.training.sizes import SizeSchedule

    options = {name: value for name, value in SMALL_NETWORK.items() if name != "encoder"}
    encoder = build_encoder("simclr_resnet18", 12, **options)
    model = SimCLR(encoder, ProjectionHead(8), SimCLRAugmenter(12, blur=False))
    model.compile("sgd")
    sizes, length = SizeSchedule.parse("4@0,12@0.5", 12), Length(10)
    views = GrowingViews(sizes, model, SimCLRAugmenter(12))
    assert model.augmenter.image_size == 4 and views.begin(0, 2, length) == 6
    assert views.begin(6, 2, length) is None and model.augmenter.image_size == 12
    length.steps = 20
    assert views.begin(6, 2, length) == 10 and model.augmenter.image_size == 12


@pytest.mark.slow
def test_crops_cut_while_decoding_grow_too(tmp_path, image_folder, traced):
    result = pretrain(_config(tmp_path / "run", image_folder, batch_size=4, views=3))
    assert result.steps == 10 and {4, 8, 12} <= set(traced)


def test_an_encoder_of_one_size_is_refused(tmp_path):
    config = _config(
        tmp_path / "run",
        encoder="mobilenetv2",
        width_multiplier=1.0,
        small_image_stem=False,
        image_size=32,
        image_size_schedule="16@0,32@0.5",
    )
    with pytest.raises(InputError, match="of any size.*mobilenetv2.*which takes 32 pixels"):
        pretrain(config)
    assert not (tmp_path / "run").exists()
