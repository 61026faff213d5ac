import dataclasses
import json
import logging

import numpy as np
import pytest
from conftest import SMALL_NETWORK

from simclr_keras import PretrainConfig, pretrain
from simclr_keras.errors import InputError
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.length import run_length
from simclr_keras.training import budget as budget_module
from simclr_keras.training.budget import Budget

pytestmark = pytest.mark.usefixtures("short_resnet")
RUN = {"dataset": "digits", **SMALL_NETWORK, "image_size": 8, "batch_size": 16}


def _config(path, **length):
    return PretrainConfig(run_dir=str(path), **RUN, checkpoint_every=2, **length)


@pytest.mark.parametrize(
    "begun, asked, steps",
    [
        ({"steps": 50}, {"steps": 50}, 50),
        ({"steps": 50}, {}, 50),  # the same command, without its length
        ({"steps": 50}, {"steps": 60}, 60),
        ({"steps": 50}, {"epochs": 2}, 20 * 2 + 20),
        ({"epochs": 1}, {"epochs": 4}, 120),
        ({}, {}, 3000),
        ({"minutes": 2}, {"minutes": 2}, 777),
        ({"minutes": 2}, {"steps": 800}, 800),
    ],
)
def test_a_run_keeps_its_length_or_gets_a_longer_one(tmp_path, begun, asked, steps):
    directory = RunDirectory(tmp_path / "run")
    first = _config(directory.path, **begun)
    length = run_length(first, directory, steps_per_epoch=30)
    assert (length is None) == ("minutes" in begun)
    directory.begin(first, total_steps=length or 777)
    assert run_length(_config(directory.path, **asked), directory, 30) == steps


@pytest.mark.parametrize(
    "asked, text",
    [
        ({"steps": 49}, "has 50 steps; its length can only be raised.*Received: 49 steps"),
        ({"minutes": 3}, "has 50 steps, chosen when it began.*`steps`.*Received: minutes=3"),
    ],
)
def test_a_run_is_not_shortened(tmp_path, asked, text):
    directory = RunDirectory(tmp_path / "run")
    directory.begin(_config(directory.path, steps=50), total_steps=50)
    with pytest.raises(InputError, match=text):
        run_length(_config(directory.path, **asked), directory, 30)


def test_only_one_length():
    with pytest.raises(
        InputError, match="`epochs`, `steps` or `minutes`. Received: steps=2, mi"
    ):
        _config("run", steps=2, minutes=1.0)


def _rates(run):
    rows = (run / "history.csv").read_text().splitlines()
    return {int(r.split(",")[0]): float(r.split(",")[2]) for r in rows[1:]}


@pytest.fixture(scope="module")
def long_rates(short_resnet, tmp_path_factory):
    """The learning rates of a run of 12 steps, by step."""
    run = tmp_path_factory.mktemp("runs") / "long"
    pretrain(_config(run, steps=12))
    return _rates(run)


@pytest.mark.slow
@pytest.mark.parametrize("finished", [True, False])
def test_the_rest_of_a_raised_run_follows_the_longer_schedule(
    tmp_path, interrupted_after, caplog, long_rates, finished
):
    run = tmp_path / "run"
    if finished:
        pretrain(_config(run, steps=4))
        before = RunDirectory(run).load_encoder().get_weights()
    else:
        with interrupted_after(2):
            pretrain(_config(run, steps=8))
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        result = pretrain(_config(run, steps=12))
    assert (result.first_step, result.steps) == (4, 12)
    assert f"Raised from {4 if finished else 8} to 12 steps" in caplog.text
    rates, long = _rates(run), long_rates
    assert [*rates] == [*long] == [2, 4, 6, 8, 10, 12]
    assert [rates[step] for step in (6, 8, 10, 12)] == [long[step] for step in (6, 8, 10, 12)]
    assert rates[4] < long[4]
    kept = json.loads((run / "config.json").read_text())
    assert kept["steps"] == kept["total_steps"] == 12
    assert kept["raised"] == [{"at_step": 4, "from": 4 if finished else 8, "to": 12}]
    earlier = run / "encoder_4_steps.keras"
    assert earlier.exists() == (run / "projection_head_4_steps.keras").exists() == finished
    if finished:
        moved = dataclasses.replace(_config(run)), RunDirectory(run)
        assert moved[1].is_finished
        earlier.replace(run / "encoder.keras")
        for a, b in zip(before, RunDirectory(run).load_encoder().get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_budget_becomes_a_number_of_steps_that_is_kept(
    tmp_path, monkeypatch, interrupted_after, caplog
):
    monkeypatch.setattr(Budget, "steps", lambda *_: 5)
    monkeypatch.setattr(budget_module, "_TOLERANCE", 1e9)  # whatever the speed
    with interrupted_after(1), caplog.at_level(logging.INFO, logger="simclr_keras"):
        pretrain(_config(tmp_path / "run", minutes=1.0))
    assert "5 steps (0.0562 epochs) fit into 1 minutes." in caplog.text
    assert "5 steps are too few to learn much. Raise `minutes`" in caplog.text
    monkeypatch.setattr(Budget, "steps", lambda *_: 9)  # not asked again
    assert pretrain(_config(tmp_path / "run", minutes=1.0)).steps == 5
    pretrain(_config(tmp_path / "steps", steps=5))
    assert _rates(tmp_path / "run") == _rates(tmp_path / "steps")
    same = (RunDirectory(tmp_path / name).load_encoder() for name in ("run", "steps"))
    for a, b in zip(*(encoder.get_weights() for encoder in same), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_length_that_a_budget_has_adjusted_is_kept(tmp_path, monkeypatch):
    """Seconds left after the first step, and after intervals of two steps.

    The second step took 2 s: 9 more fit into 18. The next two took 4 s each: 2 more fit into 10.
    """
    left = iter([20.0, 18.0, 10.0, 2.0])
    monkeypatch.setattr(Budget, "steps", lambda *_: 9)
    monkeypatch.setattr(Budget, "seconds_left", property(lambda _: next(left)))
    result = pretrain(_config(tmp_path / "run", minutes=0.5))
    directory = RunDirectory(tmp_path / "run")
    assert result.steps == directory.read_total_steps(1) == 6
    assert directory.read_chosen("interval") == 2 and len(_rates(tmp_path / "run")) == 3
