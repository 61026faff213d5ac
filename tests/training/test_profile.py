"""Where the time of a step goes."""

import logging
import types

import keras
import numpy as np
import pytest
from conftest import SMALL_NETWORK, saved_state

from simclr_keras import LARS, ProjectionHead, SimCLR, SimCLRAugmenter, build_encoder
from simclr_keras.training.profile import ProfileSteps, _own_times

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture
def train():
    def train(callbacks, steps=16):
        images = np.random.default_rng(0).integers(0, 256, (8 * steps, 8, 8, 3), "uint8")
        keras.utils.set_random_seed(0)
        options = {k: v for k, v in SMALL_NETWORK.items() if k != "encoder"}
        encoder = build_encoder("simclr_resnet18", 8, **options)
        model = SimCLR(encoder, ProjectionHead(8), SimCLRAugmenter(8, blur=False))
        model.compile(LARS(0.1))
        model.fit(images, batch_size=8, callbacks=callbacks, verbose=0)
        return saved_state(model)

    return train


@pytest.mark.slow
def test_the_parts_of_a_step_are_said_and_training_is_the_same(train, caplog):
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        profiled = train([ProfileSteps()])
    [table] = [r.getMessage() for r in caplog.records if "A step takes" in r.getMessage()]
    rows = [line.split(maxsplit=1) for line in table.splitlines()[1:]]
    shares = {part: float(share.rstrip("%")) for share, part in rows}
    assert 99 < sum(shares.values()) < 101
    parts = ["convolutions", "gradients of kernels", "gradients of feature maps", "batch norm"]
    assert {*parts, "views", "optimizer", "nonlinearities"} <= shares.keys()
    # The others may round to 0 on a busy machine.
    assert all(shares[part] > 0 for part in parts)
    np.testing.assert_equal(profiled, train([]))


@pytest.mark.slow
def test_a_training_that_is_too_short_says_nothing(train, caplog):
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        train([ProfileSteps()], steps=5)
        assert "A step takes" not in caplog.text
        train([ProfileSteps()], steps=8)  # the profiler was stopped
    assert "A step takes" in caplog.text


def test_time_inside_is_not_counted_twice():
    def event(begin, duration, name):
        return types.SimpleNamespace(offset_ps=begin, duration_ps=duration, metadata_id=name)

    events = [event(0, 100, 1), event(10, 30, 2), event(20, 5, 3), event(50, 50, 2)]
    events += [event(120, 10, 1)]
    times: dict = {}
    for name, duration in _own_times(events, {1: "a", 2: "b", 3: "c"}):
        times[name] = times.get(name, 0) + duration
    assert times == {"a": 100 - 30 - 50 + 10, "b": 30 - 5 + 50, "c": 5}
