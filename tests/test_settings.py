import dataclasses
import math
from typing import Literal

import pytest

from simclr_keras.errors import InputError
from simclr_keras.settings import PART, POSITIVE, SEED, SHARE, Settings, choices_of, setting


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    rate: float | None = setting(None, "A rate.", POSITIVE)
    share: float = setting(0.5, "A share.", SHARE)
    part: float = setting(0.5, "A part.", PART)
    seed: int = setting(0, "A seed.", SEED)
    kind: Literal["a", "b"] | None = setting("a", "A kind.")
    name: str = setting("x", "Anything.")


def test_values_in_their_range_are_taken():
    Example(rate=1e-9, share=1.0, part=0.0, seed=-(2**63), kind="b", name="anything")
    Example(rate=None, kind=None)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"rate": 0.0}, "`rate` must be positive. Received: rate=0.0"),
        ({"rate": math.nan}, "`rate` must be positive. Received: rate=nan"),
        ({"share": 0.0}, "`share` must be in (0, 1]. Received: share=0.0"),
        ({"part": 1.0}, "`part` must be in [0, 1). Received: part=1.0"),
        ({"seed": 2**63}, f"`seed` must be a 64-bit integer. Received: seed={2**63}"),
        ({"kind": "c"}, "`kind` must be one of a, b. Received: kind='c'"),
    ],
)
def test_others_are_refused(values, message):
    with pytest.raises(InputError) as refused:
        Example(**values)
    assert str(refused.value) == message


def test_choices_of_a_type():
    assert choices_of(Literal["a", "b"]) == choices_of(Literal["a", "b"] | None) == ("a", "b")
    assert choices_of(str) == choices_of(float | None) == ()
