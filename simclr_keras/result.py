"""`Result`: what a command returns to Python, and prints with `--json`."""

import dataclasses
import pathlib
import typing


class Result:
    """Base class of the frozen dataclasses that commands return.

    A field with a default holds what is not always measured.
    """

    def to_dict(self) -> dict[str, typing.Any]:
        """What the command prints with `--json`; without the fields that were not measured."""
        fields = [(f, getattr(self, f.name)) for f in dataclasses.fields(self)]  # type: ignore
        return {
            field.name: _plain(value)
            for field, value in fields
            if value is not None or field.default is dataclasses.MISSING
        }


def _plain(value):
    """A value as JSON takes it."""
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, pathlib.Path) else value
