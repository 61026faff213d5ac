"""The names of flags: what the library calls `batch_size` is `--batch-size` on the command line."""

import re
from collections.abc import Iterable

# `name` or `name=value`, as messages quote settings; and name=value, as they say what was received.
_QUOTED = re.compile(r"`(\w+)(?:=([^`]*))?`")
_RECEIVED = re.compile(r"(?<![\w=./])(\w+)=('[^']*'|\"[^\"]*\"|[^\s,;)]*)")


def flag(name: str) -> str:
    """How a setting is called on the command line."""
    return "--" + name.replace("_", "-")


def with_flags(
    message: str,
    names: Iterable[str],
    arguments: dict[str, str] | None = None,
    elsewhere: Iterable[str] = (),
) -> str:
    """A message of the library as the command line would say it.

    Args:
        message: With settings as `name`, `name=value`, or name=value.
        names: The settings that are flags of the command.
        arguments: Those that are positional arguments, with the names that they have there.
        elsewhere: Flags of other commands, such as `pretrain`'s; only where they are quoted.

    Example:
        >>> from simclr_keras.cli.flags import with_flags
        >>> with_flags("`batch_size` must be at least 1. Received: batch_size=0", ["batch_size"])
        '--batch-size must be at least 1. Received: --batch-size 0'
    """
    received = {**{name: flag(name) for name in names}, **(arguments or {})}
    quoted = {**{name: flag(name) for name in elsewhere}, **received}

    def say(match: re.Match, spoken: dict[str, str]) -> str:
        name, value = match.groups()
        if name not in spoken:
            return match.group()
        return spoken[name] if value is None else f"{spoken[name]} {value}"

    message = _QUOTED.sub(lambda match: say(match, quoted), message)
    return _RECEIVED.sub(lambda match: say(match, received), message)
