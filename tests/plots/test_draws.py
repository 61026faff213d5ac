import numpy as np
import pytest

from simclr_keras import SimCLRAugmenter
from simclr_keras.plots.draws import collect_draws


def test_what_is_drawn_lies_where_it_is_meant_to():
    augmenter = SimCLRAugmenter(32, color_jitter_strength=0.5)
    drawn, intended, shares = collect_draws(augmenter, 0, 250, [(400, 400), (300, 600)])
    assert intended["brightness"] == (0.6, 1.4) and intended["hue"] == (-0.1, 0.1)
    for name, (low, high) in intended.items():
        rounding = 0.02 if name.startswith(("crop", "log")) else 1e-6  # to whole pixels
        assert low - rounding <= drawn[name].min() and drawn[name].max() <= high + rounding
    for applied, share in shares.values():
        assert applied == pytest.approx(share, abs=0.02)
    assert np.unique(drawn["order"]).tolist() == list(range(24))
    assert list(shares) == ["flip", "jitter", "gray", "blur"]


def test_turns_and_solarization_are_shown_where_they_are_used():
    augmenter = SimCLRAugmenter(
        32, vertical_flip=True, quarter_turns=True, solarize_probability=0.2
    )
    _, _, shares = collect_draws(augmenter, 0, 250, [(40, 40)])
    added = {name: shares[name] for name in ("vertical\nflip", "turn", "solarize")}
    assert [share for _, share in added.values()] == [0.5, 0.75, 0.2]
    for applied, share in added.values():
        assert applied == pytest.approx(share, abs=0.02)


def test_what_is_off_is_not_drawn():
    augmenter = SimCLRAugmenter(32, color_jitter_strength=0, blur=False)
    drawn, intended, shares = collect_draws(augmenter, 0, 250, [(40, 40)])
    assert not len(drawn["hue"]) and not len(drawn["sigma"]) and "hue" not in intended
    assert shares["jitter"] == shares["blur"] == (0, 0)
