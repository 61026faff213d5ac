import re

import numpy as np
import pytest

from simclr_keras.plots.histogram import counts_of, histogram, share_bars


def _heights(text: str) -> list[float]:
    return [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', text)]


def test_bars_are_the_density_and_the_line_is_the_intended_one(rng):
    found = counts_of(rng.uniform(-0.1, 0.1, 100_000), (-0.1, 0.1))
    assert sum(found["counts"]) == found["n"] == 100_000
    text = histogram("Hue", found, "words")
    (line,) = re.findall(r"M[\d.]+ [\d.]+V([\d.]+)H", text)
    assert np.mean(_heights(text)) == pytest.approx(90 - float(line), rel=0.02)
    assert "100,000 draws from -0.1 to 0.1; intended: uniform from -0.1 to 0.1." in text


def test_integers_are_counted_one_by_one():
    found = counts_of(np.array([0, 0, 0, 2]))
    assert (found["counts"], found["low"], found["high"]) == ([3, 0, 1], -0.5, 2.5)
    first, second, third = _heights(histogram("order", found, ""))
    assert second == 0 and first == pytest.approx(3 * third, rel=0.01)


def test_one_value_has_a_histogram():
    assert "<rect" in histogram("x", counts_of(np.ones(5)), "")


def test_names_and_words_are_text():
    text = histogram("<b>", counts_of(np.arange(3.0)), "<i>") + share_bars(
        {"<u>": (0.5, 0.4)}, {}
    )
    assert not re.search("<[biu]>", text.replace("<b>&lt;b&gt;</b>", ""))
    assert "width:50.0%" in text and "left:40.0%" in text
