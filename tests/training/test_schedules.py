import re

import pytest
import tensorflow as tf

from simclr_keras import WarmupCosine, scale_learning_rate
from simclr_keras.training.schedules import WarmupCosineOfRun


def test_known_values():
    schedule = WarmupCosine(4.0, total_steps=110, warmup_steps=10)
    expected = {0: 0.0, 5: 2.0, 10: 4.0, 60: 2.0, 110: 0.0, 500: 0.0}
    for step, value in expected.items():
        assert float(schedule(step)) == pytest.approx(value, abs=1e-6)
    # A quarter of the way down: (1 + cos(pi / 4)) / 2 = 0.853553.
    assert float(schedule(35)) == pytest.approx(4.0 * 0.853553, abs=1e-5)


def test_without_warm_up_the_first_step_has_the_peak():
    assert float(WarmupCosine(1.5, 10)(0)) == 1.5


def test_config_keeps_every_argument():
    revived = WarmupCosine.from_config(WarmupCosine(0.7, 20, 3).get_config())
    assert float(revived(3)) == pytest.approx(0.7)
    assert (revived.total_steps, revived.warmup_steps) == (20, 3)


def test_warm_up_must_fit():
    text = re.escape("warmup_steps=11, total_steps=10")
    with pytest.raises(ValueError, match=text):
        WarmupCosine(1.0, 10, 11)


def test_scaling_rules_of_the_paper():
    assert scale_learning_rate(0.075, 4096) == pytest.approx(4.8)
    assert scale_learning_rate(0.3, 4096, "linear") == pytest.approx(4.8)
    assert scale_learning_rate(0.075, 256) == pytest.approx(1.2)
    with pytest.raises(
        ValueError, match="`rule` must be 'sqrt' or 'linear'. Received: rule='x'"
    ):
        scale_learning_rate(1.0, 2, "x")


def test_the_length_of_a_run_may_be_set_after_tracing():
    run = WarmupCosineOfRun(2.0, total_steps=10, warmup_fraction=0.2)
    traced = tf.function(lambda step: run(step))
    for length in (10, 40):
        run.set_length(length)
        fixed = WarmupCosine(2.0, length, length // 5)
        assert (run.total_steps, run.warmup_steps) == (length, length // 5)
        for step in (0, 1, length // 5, length - 1, length, length + 5):
            expected = pytest.approx(float(fixed(step)), abs=1e-6)
            assert float(run(step)) == float(traced(tf.constant(step))) == expected
