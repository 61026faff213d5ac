"""What the dataclasses of settings share: a field is a default, its help, and a flag."""

import dataclasses

from .errors import InputError


def setting(default, text: str):
    """A field with its help."""
    return dataclasses.field(default=default, metadata={"help": text})


def flag(name: str) -> str:
    """How a field is called on the command line."""
    return "--" + name.replace("_", "-")


def check_choices(settings, **choices: tuple[str, ...]) -> None:
    """Whether each named field has one of its values.

    Raises:
        InputError: If one has not.
    """
    for name, allowed in choices.items():
        value = getattr(settings, name)
        if value not in allowed:
            raise InputError(
                f"{flag(name)} must be one of {', '.join(allowed)}. Received: {value}"
            )


def check_numbers(settings, condition, expected: str, *names: str) -> None:
    """Whether each named field is `None` or fulfils a condition.

    Raises:
        InputError: If one does not; NaN fulfils none.
    """
    for name in names:
        value = getattr(settings, name)
        if value is not None and not condition(value):
            raise InputError(f"{flag(name)} must be {expected}. Received: {value}")
