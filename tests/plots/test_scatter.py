import re

import numpy as np

from simclr_keras.plots.features_map import map_features
from simclr_keras.plots.scatter import scatter


def test_points_say_what_they_are():
    text = scatter([(0, 0), (1, 2), (2, 1)], ["a", "<b>", "c"], [0, 1, -1], ["cat", "<i>"])
    assert "<title>cat: a</title>" in text and "<title>c</title>" in text
    assert "&lt;i&gt;: &lt;b&gt;" in text and not re.search("<[bi]>", text)
    places = [tuple(map(float, p)) for p in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', text)]
    assert places == [(10, 10), (400, 510), (790, 260)]
    assert re.findall(r'data-class="(\d)"', text) == ["0", "1"]


def test_the_legend_of_many_classes_is_cut():
    labels = list(range(40))
    text = scatter([(i, i) for i in labels], ["n"] * 40, labels, [f"c{i}" for i in labels])
    assert text.count("data-class=") == 30 and "and 10 more" in text


def test_similar_features_are_near_on_the_map(rng):
    centres = np.repeat(10 * rng.normal(size=(3, 16)), 20, axis=0)
    places = map_features(centres + rng.normal(size=centres.shape))
    middles = places.reshape(3, 20, 2).mean(axis=1)
    spread = np.linalg.norm(places.reshape(3, 20, 2) - middles[:, None], axis=2).max()
    apart = np.linalg.norm(middles[[0, 1, 2]] - middles[[1, 2, 0]], axis=1).min()
    assert spread < apart / 2


def test_few_or_equal_features_have_a_map():
    assert map_features(np.eye(2, dtype=np.float32)).shape == (2, 2)
    assert np.isfinite(map_features(np.ones((20, 4), np.float32))).all()
