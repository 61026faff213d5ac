"""Settings: a field of a dataclass is a type, a default, the range of its values, and their help.

Choices are `Literal` types; numbers have a `Range` on their field. The command line makes a flag of
each field. Messages name a setting as Python does, `batch_size`; see `cli/flags.py`.
"""

import dataclasses
import types
import typing
from collections.abc import Callable

from .errors import InputError
from .seeds import is_seed


class Range(typing.NamedTuple):
    """The values that a number may have, and how a message says so; NaN is in none."""

    text: str
    holds: Callable[[float], bool]


POSITIVE = Range("positive", lambda x: x > 0)
NOT_NEGATIVE = Range("0 or more", lambda x: x >= 0)
AT_LEAST_1 = Range("at least 1", lambda x: x >= 1)
AT_LEAST_2 = Range("at least 2", lambda x: x >= 2)
SHARE = Range("in (0, 1]", lambda x: 0 < x <= 1)
SHARE_OR_NONE = Range("in [0, 1]", lambda x: 0 <= x <= 1)
PART = Range("in [0, 1)", lambda x: 0 <= x < 1)
SEED = Range("an integer of 64 bits", is_seed)


def setting(
    default,
    text: str,
    within: Range | None = None,
    *,
    argument: str | None = None,
    short: str | None = None,
):
    """A field of settings.

    Args:
        default: Its default; `dataclasses.MISSING` for none.
        text: Its help.
        within: The range of its values, where it has one; `None` is always allowed.
        argument: The name of a positional argument on the command line, instead of a flag.
        short: A short flag beside the long one, such as `-k`.
    """
    metadata = {"help": text, "within": within, "argument": argument, "short": short}
    return dataclasses.field(default=default, metadata=metadata)


# Choices that functions which import TensorFlow take too; settings must not import it.
Normalization = typing.Literal["batch", "group", "frozen"]
WeightsDtype = typing.Literal["float32", "float16", "bfloat16"]


class Settings:
    """Base of the dataclasses of settings: refuses values outside a field's choices or range.

    Raises:
        InputError: If there is one.
    """

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_choice(field.name, value, choices_of(hints[field.name]))
            check_range(field.name, value, field.metadata["within"])


def choices_of(hint) -> tuple[str, ...]:
    """The values of a `Literal`, also of one or `None`; empty for other types."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(choice for part in typing.get_args(hint) for choice in choices_of(part))
    return ()


def check_choice(name: str, value, choices: tuple[str, ...]) -> None:
    """Raises an `InputError` unless a value is `None` or one of the choices, if there are any."""
    if choices and value is not None and value not in choices:
        raise InputError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_range(name: str, value, within: Range | None) -> None:
    """Raises an `InputError` unless a number is `None` or in the range, if there is one."""
    if within is not None and value is not None and not within.holds(value):
        raise InputError(f"`{name}` must be {within.text}. Received: {name}={value!r}")
