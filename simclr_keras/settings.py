"""Settings: dataclasses whose fields have a type, a default, a range of values and a help text.

Choices are `Literal` types; numbers have a `Range` on their field. The command line turns each
field into a flag. Messages use the Python name of a setting, `batch_size`; see `cli/flags.py`.
"""

import dataclasses
import math
import numbers
import os
import pathlib
import types
import typing
from collections.abc import Callable

from .errors import InputError
from .seeds import is_seed
from .stores import check_registered, is_remote


class Range(typing.NamedTuple):
    """The values that a number may have, never NaN, and their description in messages."""

    text: str
    holds: Callable[..., bool]


POSITIVE = Range("positive", lambda x: x > 0)
NOT_NEGATIVE = Range("0 or more", lambda x: x >= 0)
AT_LEAST_1 = Range("at least 1", lambda x: x >= 1)
AT_LEAST_2 = Range("at least 2", lambda x: x >= 2)
SHARE = Range("in (0, 1]", lambda x: 0 < x <= 1)
SHARE_OR_NONE = Range("in [0, 1]", lambda x: 0 <= x <= 1)
PART = Range("in [0, 1)", lambda x: 0 <= x < 1)
IMAGE_SIZE = Range("in 1 to 16,384", lambda x: 1 <= x <= 16_384)
WIDTH = Range("in 0.008 to 64", lambda x: 1 / 128 <= x <= 64)  # 1 to 4096 filters in the stem
SEED = Range("a 64-bit integer", is_seed)
MAX_BAD_FRACTION = 0.05  # of images that turn out to be unreadable while they are used
_NAMES = {
    bool: "True or False",
    int: "an integer",
    float: "a number",
    str: "a text",
    os.PathLike: "a path",
    list: "a list of texts",
}
_MAY_HAVE_ANY_SCHEME = ("data_dir", "encoder", "student", "licence")  # TFDS, KerasHub, a link


def setting(
    default,
    text: str,
    within: Range | None = None,
    *,
    argument: str | None = None,
    short: str | None = None,
    panel: str | None = None,
):
    """A field of a settings dataclass.

    Args:
        default: Default value; `dataclasses.MISSING` if there is none.
        text: Help text.
        within: Range of the values, if they have one; `None` is always allowed.
        argument: Name as a positional argument on the command line, instead of a flag.
        short: Short flag in addition to the long one, such as `-k`.
        panel: Panel of `--help` that begins here; the fields below are in it too, up to the next
            that names one.
    """
    metadata = {
        "help": text,
        "within": within,
        "argument": argument,
        "short": short,
        "panel": panel,
    }
    return dataclasses.field(default=default, metadata=metadata)


# Choices shared with functions that import TensorFlow; settings must not import it.
Normalization = typing.Literal["batch", "group", "frozen"]
MixedPrecision = typing.Literal["none", "float16", "bfloat16"]
MixedPrecisionOrAuto = typing.Literal["none", "auto", "float16", "bfloat16"]
WeightsDtype = typing.Literal["float32", "float16", "bfloat16"]


class Settings:
    """Base class of settings dataclasses.

    Numbers of NumPy and paths become what JSON can hold, where the type of the field is that.

    Raises:
        InputError: If a value is of another type than its field, or outside its choices or range.
    """

    def __post_init__(self):
        hints = typing.get_type_hints(type(self))
        for field in dataclasses.fields(self):
            if "help" not in field.metadata:
                continue
            given = getattr(self, field.name)
            found = as_kind(field.name, given, kinds_of(hints[field.name]))
            object.__setattr__(self, field.name, found)
            value = given if type(given) is int else found  # as it was written, for messages
            check_choice(field.name, value, choices_of(hints[field.name]))
            check_range(field.name, value, field.metadata.get("within"))
            for part in value if isinstance(value, (list, tuple)) else [value]:
                check_value(field.name, part)
                if field.name not in _MAY_HAVE_ANY_SCHEME:
                    check_place(field.name, part)


def kinds_of(hint) -> tuple[type, ...]:
    """The types of a hint's values: those of the items for a list, `str` for a `Literal`."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return tuple(kind for part in parts for kind in kinds_of(part))
    if origin is typing.Literal:
        return (str,)
    if origin is list:
        return (list, *kinds_of(parts[0]))
    return (origin or hint,)


def as_kind(name: str, value, kinds: tuple[type, ...]):
    """The value of a setting as one of its types; raises an `InputError` if it has another."""
    if list in kinds and isinstance(value, (list, tuple)):
        of_items = tuple(kind for kind in kinds if kind not in (list, types.NoneType))
        return [as_kind(name, part, of_items) for part in value]
    found = value
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        if float in kinds:
            found = _as_float(value)
        elif int in kinds and isinstance(value, numbers.Integral):
            found = int(value)
    elif isinstance(value, os.PathLike) and os.PathLike not in kinds and str in kinds:
        found = os.fspath(value)
    if isinstance(found, kinds) and (bool in kinds or not isinstance(found, bool)):
        return found
    expected = dict.fromkeys(_NAMES[kind] for kind in kinds if kind in _NAMES)
    raise InputError(
        f"`{name}` must be {' or '.join(expected)}. Received: {name}={shown(value)}"
    )


def _as_float(value: numbers.Real) -> float:
    try:
        return float(value)
    except OverflowError:  # for `check_value` to refuse
        return math.inf


def shown(value) -> str:
    """A value in a message: on one line, and not long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 200 else f"{text[:200]}..."


def choices_of(hint) -> tuple[str, ...]:
    """The values of a `Literal` or of an optional one; empty for other types."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(choice for part in typing.get_args(hint) for choice in choices_of(part))
    return ()


def check_one_length(**lengths: float | None) -> None:
    """Raises an `InputError` if a length is given in more than one of these settings."""
    given = {name: value for name, value in lengths.items() if value is not None}
    if len(given) > 1:
        *names, last = (f"`{name}`" for name in lengths)
        raise InputError(
            f"Choose the length in one way, {', '.join(names)} or {last}. Received: "
            f"{', '.join(f'{name}={value}' for name, value in given.items())}"
        )


def without_idle_epochs(settings: dict) -> dict:
    """Settings as an earlier version saved them, without `epochs` that `steps` overruled."""
    return settings if settings.get("steps") is None else {**settings, "epochs": None}


def check_choice(name: str, value, choices: tuple[str, ...]) -> None:
    """Raises an `InputError` if a value is neither `None` nor one of the choices (if any)."""
    if choices and value is not None and value not in choices:
        raise InputError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={shown(value)}"
        )


def check_value(name: str, value) -> None:
    """Raises an `InputError` for numbers and texts that no setting can have.

    Integers of more than 64 bits, numbers that are not finite, and texts that are empty, hold a NUL
    or cannot be the name of a file.
    """
    expected = None
    if isinstance(value, int):
        expected = None if -(2**63) <= value < 2**63 else "have at most 64 bits"
    elif isinstance(value, float):
        expected = None if math.isfinite(value) else "be finite"
    elif isinstance(value, (str, os.PathLike)):
        text = os.fspath(value)
        expected = "be a text that is not empty, without NUL"
        if text and "\0" not in text:
            expected = None if _can_be_written(text) else "be a text that UTF-8 can encode"
    if expected:
        raise InputError(f"`{name}` must {expected}. Received: {name}={shown(value)}")


def _can_be_written(text: str) -> bool:
    try:
        os.fsencode(text)  # bytes that are no UTF-8 in names of files are taken
    except UnicodeEncodeError:
        return False
    return True


def check_place(name: str, value) -> None:
    """Raises an `InputError` if a text has a scheme that is not known, or names an unknown user."""
    if not isinstance(value, str):
        return
    if is_remote(value):
        check_registered(name, value)
        return
    user = value.split(os.sep)[0]
    if user.startswith("~") and os.path.expanduser(user) == user:
        raise InputError(
            f"`{name}` begins with the home folder of a user that does not exist. "
            f"Received: {name}={shown(value)}"
        )


def check_folder_name(name: str, value: str | None) -> None:
    """Raises an `InputError` if a value is neither `None` nor the name of a folder."""
    if value is not None and (
        pathlib.PurePath(value).name != value or value == ".." or len(os.fsencode(value)) > 200
    ):
        raise InputError(
            f"`{name}` must be the name of a folder, of up to 200 bytes. Received: {name}={shown(value)}"
        )


def check_range(name: str, value, within: Range | None) -> None:
    """Raises an `InputError` if a number is neither `None` nor in the range (if any)."""
    if within is not None and value is not None and not within.holds(value):
        raise InputError(f"`{name}` must be {within.text}. Received: {name}={shown(value)}")
