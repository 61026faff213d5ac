import pytest

from simclr_keras.plots.svg import colour, key, number_text, percent_text, shortened, ticks


@pytest.mark.parametrize(
    "low, high, expected",
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-4, 0, [-4, -3, -2, -1, 0]), (3, 3, [3])],
)
def test_ticks_are_round_numbers_in_the_range(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("low, high", [(0.013, 0.0171), (7, 123_456), (-1e-9, 1e-9)])
def test_any_range_has_a_few_ticks(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6 and low <= found[0] < found[-1] <= high


def test_numbers_and_names_are_short():
    assert [number_text(x) for x in (0, 12_345.6, 0.123456, -2)] == [
        "0",
        "12,346",
        "0.1235",
        "-2",
    ]
    assert [percent_text(x) for x in (1, 0.1234)] == ["100 %", "12.3 %"]
    assert shortened("abcdef", 4) == "abc\u2026" and shortened("abcd", 4) == "abcd"


def test_many_classes_have_a_hue_each_and_names_are_text():
    assert colour(3, 10) == "var(--c3)"
    assert len({colour(i, 50) for i in range(50)}) == 50
    assert "<b>" not in key("<b>", "red") and 'class="dash"' in key("level", None)
