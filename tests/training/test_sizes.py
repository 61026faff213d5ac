import pytest

from simclr_keras.errors import InputError
from simclr_keras.training.length import Length
from simclr_keras.training.sizes import SizeSchedule

SIZES = SizeSchedule.parse("16@0,24@0.4,32@0.8", 32)


def test_the_size_at_each_share():
    shares = (0.0, 0.39, 0.4, 0.79, 0.8, 1.0)
    assert [SIZES.at(share) for share in shares] == [16, 16, 24, 24, 32, 32]
    assert [SIZES.next_change(share) for share in (0.0, 0.4, 0.8)] == [0.4, 0.8, None]


def test_the_work_is_that_of_the_pixels():
    # A quarter of the pixels for 0.4 of the run, 9/16 for 0.4, all for 0.2.
    assert SIZES.work(0.0, 1.0) == pytest.approx(0.4 / 4 + 0.4 * 9 / 16 + 0.2)
    assert SIZES.work(0.3, 0.5) == pytest.approx(0.1 / 4 + 0.1 * 9 / 16)
    assert SIZES.work(0.9, 1.0) == pytest.approx(0.1)
    assert SIZES.work(0.5, 0.5) == 0
    assert Length(100, SIZES).work(30, 50) == pytest.approx(2.5 + 5.625)
    assert Length(100).work(30, 50) == 20


@pytest.mark.parametrize(
    "text",
    ["", "16", "16@0.1,32@0.5", "16@0,32@1", "16@0,24@0.5,32@0.5", "0@0,32@0.5", "a@0,32@0.5"]
    + ["48@0,32@0.5"],
)
def test_what_is_no_schedule_is_said(text):
    with pytest.raises(InputError, match="must be SIZE@SHARE,.* such as 16@0,24@0.4,32@0.8"):
        SizeSchedule.parse(text, 32)


def test_it_ends_at_the_size_of_the_encoder():
    with pytest.raises(InputError, match="must end with `image_size`.*image_size=64"):
        SizeSchedule.parse("16@0,32@0.5", 64)
