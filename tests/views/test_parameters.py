"""What is drawn, against the distributions of the paper's Appendix A."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from simclr_keras import SimCLRAugmenter

COUNT = 20_000


def _draw(view=0, **settings):
    augmenter = SimCLRAugmenter(64, **settings)
    drawn = augmenter.draw((3, 1), tf.range(COUNT, dtype=tf.int64), 64, 64)[view]
    return {name: value.numpy() for name, value in drawn._asdict().items()}


def _uniform(values, low, high):
    """Kolmogorov-Smirnov at 1 % of false alarms; the seed is fixed."""
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.01


@pytest.mark.parametrize("view", [0, 1])
@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_jitter_factors(view, strength):
    drawn = _draw(view, color_jitter_strength=strength)
    jittered = drawn["jitter"]
    limit = 0.8 * strength
    for name in ("brightness", "contrast", "saturation"):
        assert _uniform(drawn[name][jittered], 1 - limit, 1 + limit), name
        assert (drawn[name][~jittered] == 1).all()
    assert _uniform(drawn["hue"][jittered], -0.2 * strength, 0.2 * strength)
    assert (drawn["hue"][~jittered] == 0).all()


@pytest.mark.parametrize("view", [0, 1])
def test_how_often_each_operation_is_applied(view):
    drawn = _draw(view)
    blurred = drawn["sigma"] > 0
    for which, share in (
        (drawn["flip"], 0.5),
        (drawn["jitter"], 0.8),
        (drawn["grayscale"], 0.2),
        (blurred, 0.5),
    ):
        assert stats.binomtest(int(which.sum()), COUNT, share).pvalue > 0.01
    assert _uniform(drawn["sigma"][blurred], 0.1, 2.0)


def test_all_24_orders_are_as_likely():
    observed = np.bincount(_draw()["order"], minlength=24)
    assert len(observed) == 24 and stats.chisquare(observed).pvalue > 0.01


def test_draws_are_independent():
    columns = {}
    for view in (0, 1):
        drawn = _draw(
            view,
            color_jitter_probability=1.0,
            blur_probability=1.0,
            vertical_flip=True,
            quarter_turns=True,
            solarize_probability=0.5,
        )
        drawn.update(zip(("top", "left", "height", "width"), drawn.pop("boxes").T))
        drawn["area"] = drawn.pop("height") * drawn["width"]
        # Where a crop can be depends on its size.
        drawn["top"], drawn["left"] = drawn["top"] * 0, drawn["left"] * 0
        columns.update({f"{k}{view}": v.astype(float) for k, v in drawn.items() if v.std() > 0})
    names = [n for n in columns if not n.startswith("width")]
    correlations = np.corrcoef([columns[n] for n in names])
    np.fill_diagonal(correlations, 0)
    # 276 pairs or so: the largest of that many has a deviation of about 3.
    assert len(names) == 24 and np.abs(correlations).max() < 4.5 / np.sqrt(COUNT)


def test_new_operations_leave_the_draws_of_the_others_as_they_were():
    """Runs that began before them continue with the same views."""
    positions = tf.range(100, dtype=tf.int64)
    drawn = SimCLRAugmenter(32).draw((5, 3), positions, 30, 30)
    first = b"".join(x.numpy().tobytes() for view in drawn for x in view[:10])
    assert hashlib.sha256(first).hexdigest()[:16] == "709be602cfc121bc"  # before them
    added = SimCLRAugmenter(
        32, vertical_flip=True, quarter_turns=True, solarize_probability=0.3
    ).draw((5, 3), positions, 30, 30)
    assert b"".join(x.numpy().tobytes() for view in added for x in view[:10]) == first


@pytest.mark.parametrize("view", [0, 1])
def test_turns_and_solarization(view):
    drawn = _draw(view, vertical_flip=True, quarter_turns=True, solarize_probability=0.2)
    for name, share in (("vertical_flip", 0.5), ("solarize", 0.2)):
        assert stats.binomtest(int(drawn[name].sum()), COUNT, share).pvalue > 0.01
    symmetries = 8 * drawn["flip"] + 4 * drawn["vertical_flip"] + drawn["quarter_turns"]
    assert stats.chisquare(np.bincount(symmetries, minlength=16)).pvalue > 0.01
    drawn = _draw(view)
    assert not (drawn["vertical_flip"] | drawn["solarize"]).any()
    assert not drawn["quarter_turns"].any()


def test_factors_are_never_negative():
    drawn = _draw(color_jitter_strength=2.0)
    assert drawn["brightness"].min() >= 0 and drawn["brightness"].max() > 2.5


def test_what_can_be_set():
    drawn = _draw(
        color_jitter=(0.4, 0.0, 0.3, 0.1),
        color_jitter_probability=1.0,
        grayscale_probability=0.0,
        blur_probability=1.0,
        blur_sigma=(1.0, 1.5),
        flip=False,
        crop_area=(0.5, 0.6),
    )
    assert _uniform(drawn["brightness"], 0.6, 1.4) and (drawn["contrast"] == 1).all()
    assert _uniform(drawn["saturation"], 0.7, 1.3) and _uniform(drawn["hue"], -0.1, 0.1)
    assert not drawn["grayscale"].any() and not drawn["flip"].any()
    assert _uniform(drawn["sigma"], 1.0, 1.5)
    share = drawn["boxes"][:, 2:].prod(axis=1) / 64**2
    assert 0.48 < share.min() and share.max() < 0.62


def test_added_brightness_reaches_below_zero():
    drawn = _draw(brightness="additive", color_jitter_strength=1.5)
    added = drawn["brightness"][drawn["jitter"]] - 1
    assert _uniform(added, -1.2, 1.2)


def test_operations_are_switched_off():
    drawn = _draw(color_jitter_strength=0, blur=False, flip=False, grayscale_probability=0)
    assert not (drawn["jitter"] | drawn["flip"] | drawn["grayscale"]).any()
    assert (drawn["sigma"] == 0).all()
