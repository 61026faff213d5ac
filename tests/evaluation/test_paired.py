import numpy as np
import pytest
from scipy import stats

from simclr_keras.evaluation.paired import (
    Difference,
    difference_of_hits,
    mean_difference,
    slope,
    with_sampling,
)


def _hits(both, first, second, neither):
    return (
        np.repeat([True, True, False, False], [both, first, second, neither]),
        np.repeat([True, False, True, False], [both, first, second, neither]),
    )


def test_the_interval_is_that_of_bonett_and_price():
    found = difference_of_hits(*_hits(50, 18, 4, 28))
    p, q = 19 / 102, 5 / 102
    margin = 1.959964 * np.sqrt((p + q - (p - q) ** 2) / 102)
    assert found.mean == pytest.approx(0.14)
    assert (found.low, found.high) == pytest.approx((p - q - margin, p - q + margin))


def test_swapping_the_classifiers_changes_the_sign():
    hits = _hits(5, 3, 8, 4)
    there, back = difference_of_hits(*hits), difference_of_hits(*hits[::-1])
    assert (there.mean, there.low, there.high) == pytest.approx(
        (-back.mean, -back.high, -back.low)
    )


def test_agreement_narrows_the_interval_but_never_to_nothing():
    """Both are right on half of the images: the same ones, or each on others."""
    same, other = (difference_of_hits(*_hits(*n)) for n in ((50, 0, 0, 50), (0, 50, 50, 0)))
    assert same.mean == other.mean == 0
    assert 0 < same.high < other.high / 4


def test_the_interval_covers_the_true_difference(rng):
    """0.2 of the images are gained and 0.1 lost: of 400 samples of 80, about 380 intervals."""
    covered = 0
    for _ in range(400):
        gained, lost, _ = rng.multinomial(80, [0.2, 0.1, 0.7])
        found = difference_of_hits(*_hits(80 - gained - lost, gained, lost, 0))
        covered += found.low <= 0.1 <= found.high
    assert 370 <= covered <= 395


def test_the_mean_of_draws_has_students_interval():
    found = mean_difference([0.1, 0.2, 0.4])
    low, high = stats.ttest_1samp([0.1, 0.2, 0.4], 0).confidence_interval(0.95)
    assert (found.mean, found.low, found.high) == pytest.approx((0.7 / 3, low, high))


def test_a_slope_needs_four_points():
    x, y = np.arange(5.0), np.array([0.0, 1.1, 1.9, 3.2, 3.9])
    found = slope(x, y)
    assert found.mean == pytest.approx(np.polyfit(x, y, 1)[0])
    line = stats.linregress(x, y)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 3) * line.stderr)
    assert slope(x, np.ones(5)) == Difference(0, 0, 0)
    assert slope(x[:3], y[:3]) is None and slope(np.array([1, 1, 1, 1, 2]), y) is None


def test_sampling_widens_a_slope_by_the_least_it_can():
    found = with_sampling(Difference(0.02, 0.02, 0.02), 100, doublings=2)
    gained = difference_of_hits(*_hits(96, 4, 0, 0))  # 0.04 over two doublings
    assert found.mean == 0.02
    assert found.high - found.low == pytest.approx((gained.high - gained.low) / 2)
    both = with_sampling(Difference(0.02, -0.01, 0.05), 100, doublings=2)
    assert both.high - 0.02 == pytest.approx(np.hypot(0.03, found.high - 0.02))
