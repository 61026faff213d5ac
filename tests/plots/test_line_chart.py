import html
import json
import re

import pytest

from simclr_keras.plots.line_chart import Line, line_chart


def _values(chart: str) -> list:
    return json.loads(html.unescape(re.search(r'data-points="([^"]*)"', chart)[1]))


def _curves(chart: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, place.split(","))) for place in points.split()]
        for points in re.findall(r'<polyline points="([^"]*)"', chart)
    ]


def test_curves_lie_where_their_values_are():
    lines = [Line("a", [(0, 1.0), (50, 3.0), (100, 2.0)]), Line("b", [(0, 2.0), (100, 2.0)])]
    chart = line_chart("Loss", lines, level=("collapse", 4.0))
    (first, middle, last), (_, level) = _curves(chart)
    assert middle[0] == pytest.approx((first[0] + last[0]) / 2)
    assert last[1] == pytest.approx((first[1] + middle[1]) / 2, abs=0.2)  # y points down
    assert last == level and "collapse 4" in chart
    (dashed,) = re.findall(r'class="reference"[^>]*y1="([\d.]+)"', chart)
    assert float(dashed) == pytest.approx(middle[1] - (first[1] - middle[1]) / 2, abs=0.2)
    assert [text for _, text in _values(chart)] == [
        "step 0: a 1, b 2",
        "step 50: a 3",
        "step 100: a 2, b 2",
    ]
    assert [place for place, _ in _values(chart)] == [first[0], middle[0], last[0]]
    assert "<output>step 100: a 2, b 2</output>" in chart  # without a script too


def test_shares_are_in_percent_and_bands_are_named():
    line = Line("x", [(1, 0.5), (10, 0.75)], [(0.4, 0.6), (0.7, 0.8)])
    chart = line_chart("Labels", [line], "labels", percent=True, log_x=True)
    assert _values(chart)[0][1] == "labels 1: 50 % (40 % to 60 %)" and "<polygon" in chart


def test_a_logarithmic_axis_has_no_numbers_on_top_of_each_other():
    numbers = (1, 2, 5, 10, 20, 50, 100, 146)
    chart = line_chart("a", [Line("x", [(n, 0.5) for n in numbers])], log_x=True)
    ((*places, last),) = _curves(chart)
    assert places[3][0] - places[0][0] == pytest.approx(places[6][0] - places[3][0], abs=0.2)
    marks = sorted(map(float, re.findall(r'<text x="([\d.]+)" y="181"', chart)))
    assert min(b - a for a, b in zip(marks, marks[1:])) > 20


def test_without_points_there_is_no_chart_and_what_is_not_finite_is_left_out():
    assert line_chart("a", [Line("x", []), Line("y", [(1, float("nan"))])]) == ""
    chart = line_chart("a", [Line("x", [(1, 2.0), (2, float("inf")), (3, 2.0)])])
    assert len(_curves(chart)[0]) == 2
    assert len(_curves(line_chart("a", [Line("x", [(1, 0.0)])]))[0]) == 1


def test_long_runs_are_thinned_and_keep_their_last_value():
    chart = line_chart("a", [Line("x", [(i, float(i % 7)) for i in range(10_000)])])
    assert len(_values(chart)) == 400 and _values(chart)[-1][1].startswith("step 9999:")


def test_names_are_text():
    chart = line_chart("<b>", [Line("<i>", [(1, 1.0)]), Line('"&', [(1, 1.0)])], "<u>", "<s>")
    assert not re.search(r"<[bius]>", chart)
    assert _values(chart) == [[pytest.approx(52), '<u> 1: <i> 1, "& 1']]
