import dataclasses
import pathlib

from simclr_keras.result import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner(Result):
    value: float
    extra: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer(Result):
    first: list[Inner]
    missing: float | None
    second: Inner | None = None
    path: pathlib.Path


def test_what_was_not_measured_is_left_out_of_the_json():
    result = Outer(first=[Inner(value=1.0)], missing=None, path=pathlib.Path("a/b"))
    assert result.to_dict() == {"first": [{"value": 1.0}], "missing": None, "path": "a/b"}
    result = dataclasses.replace(result, second=Inner(value=2.0, extra=0))
    assert list(result.to_dict()) == ["first", "missing", "second", "path"]
    assert result.to_dict()["second"] == {"value": 2.0, "extra": 0}
