import dataclasses

import numpy as np
import pytest

from simclr_keras.evaluation.paired import Difference
from simclr_keras.evaluation.verdict import (
    Evidence,
    conclude,
    gain_of_draws,
    label_slope,
    labels_saved,
    pretraining_slope,
)

LABELS, STEPS = "more labels", "longer pretraining"
UNKNOWN = f"whether {LABELS} or {STEPS} would help more cannot be told."


def _evidence(**changes):
    found = Evidence(
        baseline="pixels",
        images=1000,
        accuracy=0.85,
        baseline_accuracy=0.7,
        gain=Difference(0.15, 0.12, 0.18),
    )
    return dataclasses.replace(found, **changes)


def _rows(*means, numbers=(1, 2, 5, 10, 20, 50), draws=3):
    """Rows of a learning curve whose draws are 0.01 apart."""
    return [
        {
            "labels_per_class": number,
            "mean": mean,
            "accuracies": list(mean + 0.01 * (np.arange(draws) - (draws - 1) / 2)),
        }
        for number, mean in zip(numbers, means)
    ]


def test_a_gain():
    assert conclude(_evidence(labels_per_class=10, baseline_labels=61.7, most_labels=100)) == (
        "A linear classifier on these features is right on 85.0 % of 1,000 new images, 15.0 points "
        "more than on pixels (95 % interval 12.0 to 18.0); with 10 labels per class they are as good "
        f"as pixels with 62; {UNKNOWN}"
    )


def test_a_baseline_that_is_never_as_good():
    said = conclude(_evidence(labels_per_class=10, most_labels=1440))
    assert "with 10 labels per class they are better than pixels with 1,440;" in said


def test_one_label_is_not_labels():
    said = conclude(_evidence(labels_per_class=1, baseline_labels=2.6))
    assert "with 1 label per class they are as good as pixels with 3;" in said


def test_no_gain_within_the_interval():
    said = conclude(_evidence(gain=Difference(0.01, -0.02, 0.04)))
    assert (
        "no difference from pixels can be told (+1.0 points, 95 % interval -2.0 to +4.0)"
        in said
    )
    assert "labels per class" not in said


def test_worse():
    said = conclude(_evidence(gain=Difference(-0.1, -0.13, -0.07), accuracy=0.6))
    assert "10.0 points less than on pixels (95 % interval 7.0 to 13.0)" in said


def test_a_ceiling():
    """4 of 1,000 wrong: even none wrong would not be seen to be better."""
    said = conclude(
        _evidence(accuracy=0.997, baseline_accuracy=0.996, gain=Difference(0.001, -0.01, 0.01))
    )
    assert "but pixels with 99.6 % leave nothing to gain that so few images could show" in said
    assert said.endswith("; neither more labels nor longer pretraining is needed.")
    assert "nothing to gain" not in conclude(
        _evidence(baseline_accuracy=0.99, gain=Difference(0.001, -0.01, 0.01))
    )


@pytest.mark.parametrize(
    "labels, pretraining, said",
    [
        ((3, 2, 4), (1, 0.5, 1.5), f"{LABELS} would help more than {STEPS}."),
        ((1, 0.5, 1.5), (3, 2, 4), f"{STEPS} would help more than {LABELS}."),
        ((1, 0.5, 1.5), (1, 0.6, 1.4), UNKNOWN),
        ((0.1, 0, 0.3), (-2, -3, -1), f"neither {LABELS} nor {STEPS} would help much."),
        ((1, -1, 3), (-3, -4, -2), UNKNOWN),  # labels may not help either
        (None, (3, 2, 4), UNKNOWN),
        ((3, 2, 4), None, UNKNOWN),
    ],
)
def test_what_would_help_more(labels, pretraining, said):
    slopes = [x and Difference(*(points / 100 for points in x)) for x in (labels, pretraining)]
    found = _evidence(more_labels=slopes[0], more_pretraining=slopes[1])
    assert conclude(found).endswith(f"; {said}")


def test_how_many_labels_are_saved():
    rows = _rows(0.5, 0.6, 0.65, 0.7, 0.75, 0.8)
    baseline = _rows(0.2, 0.3, 0.4, 0.5, 0.6, 0.8)
    labels, needed = labels_saved(rows, baseline)
    # 0.7 is half way from 0.6 with 20 labels to 0.8 with 50, in logarithms.
    assert labels == 10 and needed == pytest.approx(np.sqrt(20 * 50))
    assert labels_saved(rows, _rows(0.2, 0.3, 0.4, 0.5, 0.6, 0.65)) == (10, None)
    assert labels_saved(baseline, rows) is None and labels_saved(rows, rows) is None
    worse_later = _rows(0.2, 0.3, 0.4, 0.5, 0.6, 0.95)
    assert labels_saved(rows, worse_later) is None


def test_labels_are_saved_with_few_though_all_give_no_gain():
    rows, baseline = _rows(0.5, 0.6, 0.65, 0.7, 0.8, 0.9), _rows(0.3, 0.4, 0.65, 0.7, 0.8, 0.9)
    labels, needed = labels_saved(rows, baseline)
    assert labels == 2 and needed == pytest.approx(5**0.8 * 2**0.2)


def test_gains_are_of_the_same_draws():
    """Draws differ by far more than the two encoders do in each."""
    row = {"accuracies": [0.2, 0.5, 0.8]}
    gain = gain_of_draws(row, {"accuracies": [0.19, 0.48, 0.78]})
    assert gain.low > 0.001 and gain.mean == pytest.approx(0.05 / 3)
    assert gain_of_draws({"accuracies": [0.5]}, {"accuracies": [0.4]}) is None


def test_the_slope_of_labels_is_that_of_the_end():
    rows = _rows(0.1, 0.3, 0.5, 0.6, 0.7) + _rows(0.72, numbers=[24], draws=1)
    # From 10 to 24 labels per class: 20 would be too near.
    assert label_slope(rows, 100).mean == pytest.approx(0.12 / np.log2(2.4))
    assert label_slope(_rows(0.5, draws=1), 100) is None


def test_slopes_on_few_images_are_not_known_exactly():
    """Equal accuracies of 28 images: one more or less would be 3.6 points."""
    flat = pretraining_slope([50, 60, 70, 80, 90, 100], [0.5] * 6, images=28)
    many = pretraining_slope([50, 60, 70, 80, 90, 100], [0.5] * 6, images=10_000)
    assert flat.mean == 0 and flat.high > 0.05 and 0 < many.high < 0.001
    narrow, wide = (label_slope(_rows(0.1, 0.3, 0.5, 0.6), m) for m in (10_000, 100))
    assert narrow.mean == wide.mean and wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_the_slope_of_pretraining_is_that_of_the_last_half():
    steps = [0, 10, 20, 30, 40, 60, 80]
    accuracies = [0.1, 0.9, 0.2, 0.3, 0.5, 0.5 + 0.04 * np.log2(1.5), 0.54]
    assert pretraining_slope(steps, accuracies, 100) is None  # three measurements
    steps, accuracies = [*steps[:5], 50, *steps[5:]], [*accuracies[:5], 0.5, *accuracies[5:]]
    accuracies[5] = 0.5 + 0.04 * np.log2(1.25)
    assert pretraining_slope(steps, accuracies, 100).mean == pytest.approx(0.04)
    assert pretraining_slope([], [], 0) is None
