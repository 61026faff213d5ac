"""Names of flags: `batch_size` in the library is `--batch-size` on the command line."""

import re
from collections.abc import Iterable

# Messages quote settings as `name` or `name=value`, and received values as name=value.
_QUOTED = re.compile(r"`(\w+)(?:=([^`]*))?`")
_RECEIVED = re.compile(r"(?<![\w=./])(\w+)=('[^']*'|\"[^\"]*\"|[^\s,;)]*)")


def flag(name: str) -> str:
    """What a setting is called on the command line."""
    return "--" + name.replace("_", "-")


def with_flags(
    message: str,
    names: Iterable[str],
    arguments: dict[str, str] | None = None,
    elsewhere: Iterable[str] = (),
) -> str:
    """Rewrites a message of the library for the command line: settings become flags.

    Args:
        message: Names settings as `name`, `name=value`, or name=value.
        names: The settings that are flags of the command.
        arguments: Settings that are positional arguments, and their names on the command line.
        elsewhere: Settings of other commands, such as `pretrain`; replaced only where quoted.

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
