import dataclasses

import pytest

from simclr_keras.objective.nt_xent import collapsed_loss
from simclr_keras.training.diagnosis import (
    Circumstances,
    Diagnosis,
    Measured,
    diagnose,
    patience_of,
)
from simclr_keras.training.measurement import Measurement

# ln(2N - 1) = 4.844 for N = 64; guessing finds 1 of 127 partners, 0.0079.
RUN = Circumstances(64, collapsed_loss(64), 0.2, 4e-3, warmup_steps=0, total_steps=2000)
HEALTHY = Measurement(
    step=0,
    part="held_out",
    images=64,
    loss=4.5,
    contrastive_accuracy=0.1,
    retrieval=0.14,
    alignment=0.3,
    uniformity=-0.7,
    effective_rank=2.4,
    knn_accuracy=0.2,
)


def _rows(rows):
    """From (step, loss, contrastive accuracy)."""
    return [Measured(*row) for row in rows]


def _kinds(rows, **changes):
    return [f.kind for f in diagnose(_rows(rows), dataclasses.replace(RUN, **changes))]


def _warned(rows, **changes):
    """(step, kind) of each warning of a run that goes on."""
    diagnosis = Diagnosis(dataclasses.replace(RUN, **changes))
    return [(f.step, f.kind) for row in _rows(rows) for f in diagnosis.add(row)]


SLOW_START = [
    (50, 4.844, 0.009),
    (100, 4.838, 0.012),
    (150, 4.822, 0.013),
    (200, 4.796, 0.052),
    (250, 4.68, 0.08),
    (300, 4.54, 0.107),
]
HIGH_TEMPERATURE = [(step, 4.80 - step / 1e5, 0.9) for step in range(100, 2000, 100)]
PLATEAU = [(step, 4.30, 0.11) for step in range(100, 2000, 100)]
COLLAPSED = [(step, 4.8442 + (-1) ** step / 1e4, 0.008) for step in range(50, 601, 50)]
# Photographs, temperature 0.2, N = 64: above collapse for 200 steps, then it learned.
PHOTOGRAPHS = [
    (50, 5.045, 0.0314),
    (100, 4.939, 0.0373),
    (150, 4.927, 0.0373),
    (200, 4.887, 0.0362),
    (250, 4.709, 0.0539),
    (300, 4.671, 0.0556),
    (350, 4.578, 0.0634),
]
ABOVE = [(step, 6.36, 0.01) for step in range(50, 601, 50)]


@pytest.mark.parametrize("rows", [SLOW_START, HIGH_TEMPERATURE, PLATEAU])
def test_runs_that_learn_or_have_learned_are_left_alone(rows):
    assert _warned(rows) == []


def test_photographs_that_begin_above_collapse_are_left_alone():
    assert _warned(PHOTOGRAPHS, warmup_steps=100) == []


def test_the_quickstart_and_cifar_10_are_left_alone():
    digits = [(50, 5.889, 0.038), (100, 4.983, 0.13), (250, 4.604, 0.372), (500, 4.516, 0.527)]
    cifar = [(195, 4.837, 0.144), (390, 4.028, 0.316), (780, 3.524, 0.517), (1200, 3.33, 0.599)]
    loss = collapsed_loss(256)
    assert _warned(digits, batch_size=256, collapsed_loss=loss, warmup_steps=50) == []
    assert _warned(cifar, batch_size=256, collapsed_loss=loss, warmup_steps=60) == []


def test_a_flat_loss_at_the_level_of_guessing_is_reported_again_only_after_a_while():
    assert _warned(COLLAPSED) == [(250, "nothing_learned"), (450, "nothing_learned")]
    (finding,) = diagnose(_rows(COLLAPSED[:5]), RUN)
    assert finding.text.startswith("Nothing learned in 200 steps. The loss stays at 4.844")
    assert "`learning_rate`" in finding.text


def test_the_warm_up_does_not_count():
    assert _warned(COLLAPSED, warmup_steps=400) == [(600, "nothing_learned")]


def test_a_loss_that_begins_to_fall_begins_a_new_count():
    assert _warned([*COLLAPSED[:4], (250, 4.83, 0.011), *SLOW_START[4:]]) == []


def test_four_images_that_are_told_apart_are_no_guesses():
    rows = [(step, 0.9, 0.3) for step in range(100, 1000, 100)]  # guessing: 1 of 7
    assert _warned(rows, batch_size=4, collapsed_loss=collapsed_loss(4)) == []


def test_a_loss_above_collapse_is_reported_once_it_is_late_and_again_if_it_gets_worse():
    assert _warned(ABOVE, warmup_steps=100)[0] == (300, "loss_above_collapse")
    worse = [*ABOVE[:6], (350, 6.4, 0.01), (400, 9.0, 0.01)]
    assert _warned(worse) == [
        (200, "loss_above_collapse"),
        (400, "loss_above_collapse"),
    ]
    (finding,) = diagnose(_rows(ABOVE), RUN)
    assert "6.36" in finding.text and "4.844" in finding.text


def test_a_short_run_is_late_sooner():
    assert _warned(ABOVE[:3], patience=patience_of(20, 180))[0] == (100, "loss_above_collapse")
    assert [patience_of(0, total) for total in (10, 300, 10**6)] == [50, 150, 200]


def test_a_temperature_is_too_low_if_the_loss_is_high_although_images_are_told_apart():
    rows = [(step, 60.0, 0.37) for step in range(50, 401, 50)]
    assert _kinds(rows, temperature=0.001) == ["temperature_too_low"]
    (finding,) = diagnose(_rows(rows), dataclasses.replace(RUN, temperature=0.001))
    assert "Raise `temperature` (now 0.001" in finding.text


def test_a_fall_that_is_lost_again_is_a_learning_rate_too_high():
    rows = [(50, 4.6, 0.1), (100, 4.0, 0.3), (150, 4.8435, 0.008)]
    assert _kinds(rows) == ["learning_rate_too_high"]
    assert _kinds([*rows[:2], (150, 4.5, 0.1)]) == []  # worse, but far from collapse


def test_a_loss_that_hardly_moves_is_a_learning_rate_too_low():
    rows = [(step, 4.775 - step / 4000, 0.06) for step in range(25, 401, 25)]
    assert _kinds(rows) == ["learning_rate_too_low"]
    assert _kinds(rows[:-1]) == []  # too early
    moved = [*rows, (425, 4.6, 0.06)]
    told_apart = [*rows, (425, 4.7, 0.1)]
    assert _kinds(moved) == _kinds(told_apart) == []


def _measured(step, loss=4.0, accuracy=0.2, **changes):
    return Measured(step, loss, accuracy, dataclasses.replace(HEALTHY, step=step, **changes))


def test_views_are_too_alike_if_random_weights_find_the_partner():
    rows = [_measured(0, None, None, contrastive_accuracy=1.0), _measured(50, 2.9, 1.0)]
    (finding,) = diagnose(rows, RUN)
    assert finding.kind == "views_too_alike" and "100% of all cases" in finding.text
    learned = [_measured(0, None, None), _measured(50, 2.9, 1.0, contrastive_accuracy=1.0)]
    assert diagnose(learned, RUN) == []


@pytest.mark.parametrize("changes", [{"effective_rank": 1.02}, {"uniformity": -1e-5}])
def test_features_collapse_after_the_warm_up(changes):
    run = dataclasses.replace(RUN, warmup_steps=100)
    rows = [_measured(0, None, None, **changes), _measured(50, **changes)]
    assert diagnose(rows, run) == []
    (finding,) = diagnose([*rows, _measured(150, **changes)], run)
    assert finding.kind == "collapsed_features" and "`learning_rate`" in finding.text


def test_features_that_never_come_back_have_collapsed():
    """Digits with 100 and 1,000 times the rate: between full collapse and what random weights give."""
    before = _measured(0, None, None, effective_rank=3.24)
    low = {"loss": 4.8, "accuracy": 0.01, "effective_rank": 1.82, "uniformity": -0.027}
    early, late = _measured(150, **low), _measured(200, **low)
    assert diagnose([before, early], RUN) == []  # a dip that many runs recover from
    assert [f.kind for f in diagnose([before, early, late], RUN)] == ["collapsed_features"]
    # Features of few directions, as before: the digits of a run whose rate is too low.
    few = _measured(0, None, None, effective_rank=2.5)
    assert diagnose([few, early, late], RUN) == []
    assert diagnose([before, _measured(200, **{**low, "effective_rank": 2.1})], RUN) == []
    unknown = dataclasses.replace(before, step=50, measurement=None)
    assert diagnose([unknown, late], RUN) == []


def test_repeated_images_are_reported_once():
    diagnosis = Diagnosis(dataclasses.replace(RUN, repeated=0.5))
    warned = [diagnosis.add(_measured(step, 4.6 - step / 1000)) for step in range(0, 1000, 50)]
    assert [f.kind for found in warned for f in found] == ["repeated_images"]
    (finding,) = diagnosis.findings
    assert finding.text.startswith("50% of the images") and "`dataset`" in finding.text


def test_a_run_that_resumes_knows_what_was_before():
    whole, resumed = Diagnosis(RUN), Diagnosis(RUN)
    for row in _rows(COLLAPSED):
        whole.add(row)
    resumed.begin(_rows(COLLAPSED[:-1]))
    resumed.add(_rows(COLLAPSED)[-1])
    assert whole.findings == resumed.findings != []


def test_rows_are_read_from_logs_and_from_history():
    logs = {"loss": "4.5", "contrastive_accuracy": "0.25", "probe_loss": ""}
    assert Measured.of(7, logs, None) == Measured(7, 4.5, 0.25)
    assert Measured.of(0, None, HEALTHY) == Measured(0, None, None, HEALTHY)
