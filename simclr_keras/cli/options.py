"""Makes commands from settings; options that several share, such as `--json`."""

import dataclasses
import inspect
import json
import os
import pathlib
import types
import typing
from collections.abc import Callable
from typing import Annotated

import typer

from ..errors import InputError, Interrupted, RunFailure, printable_lines
from ..runs.setting_sources import SettingSources, SourcedSettings
from ..settings import choices_of
from .flags import flag, with_flags

NAMES: set[str] = set()  # the settings of all commands: any message may name them

_NO_DEFAULT = inspect.Parameter.empty
_PANELS = (None, "Data", "Views", "Network", "Training", "Run")  # of `--help`, in this order

Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON object as the last line.")
]


class CommandInterrupted(Exception):
    """Carries an `Interrupted` through typer, which would end the program without a message."""

    def __init__(self, interrupt: KeyboardInterrupt):
        if not isinstance(interrupt, Interrupted):
            interrupt = Interrupted("Interrupted. Run the same command again.")
        super().__init__(str(interrupt))
        self.exit_code = interrupt.exit_code


def say(text: object, err: bool = False) -> None:
    """Prints lines, which may hold names of files, so that a terminal shows and does not obey them.

    Args:
        text: The lines.
        err: Print to standard error.
    """
    typer.echo(printable_lines(str(text)), err=err)


def print_json(wanted: bool, content: dict) -> None:
    if wanted:
        typer.echo(json.dumps(content))


def print_page(page: pathlib.Path | None) -> None:
    """Says where the page of a run is, if it has one."""
    if page is not None:
        say(f"Page: {page}")


def command_of(config_class: type) -> Callable:
    """Makes `function(config, as_json)` a command with a flag for each field of a dataclass.

    See `settings.setting`. Messages name settings by their flags, see `flags.with_flags`. If the
    class takes settings from other sources, the flags of `SettingSources` are added; a setting
    then counts only if its flag was given.
    """
    has_sources = issubclass(config_class, SourcedSettings)
    classes = [SettingSources, config_class] if has_sources else [config_class]
    panels = {name: panel for each in classes for name, panel in _panels(each).items()}
    fields = sorted(
        (field for each in classes for field in _flags(each)),
        key=lambda field: (
            field.metadata["argument"] is None,
            _PANELS.index(panels[field.name]),
        ),
    )
    arguments = {f.name: f.metadata["argument"] for f in fields if f.metadata["argument"]}
    names = [field.name for field in fields if field.name not in arguments]
    NAMES.update(names)

    def decorate(function: Callable) -> Callable:
        def command(context: typer.Context, **settings):
            as_json = settings.pop("json")
            make: Callable = config_class
            if issubclass(config_class, SourcedSettings):
                make = config_class.from_sources
                settings = {n: v for n, v in settings.items() if _is_given(context, n)}
            try:
                return function(make(**settings), as_json)
            except (InputError, RunFailure) as error:
                message = with_flags(str(error), names, arguments, elsewhere=NAMES)
                raise type(error)(message).with_traceback(error.__traceback__) from None
            except EOFError as error:  # typer would take it for Ctrl-C
                raise RunFailure(f"A file ends too early: {error}") from error
            except KeyboardInterrupt as interrupt:
                raise CommandInterrupted(interrupt) from None

        hints = {n: hint for each in classes for n, hint in typing.get_type_hints(each).items()}
        parameters = [_parameter("json", False, Json)]
        for field in fields:
            text = _help(field, hints[field.name])
            is_required = field.default is dataclasses.MISSING
            if is_required and has_sources:
                text += " Required, here or in a file."
            text = with_flags(text, names, arguments)
            short = field.metadata["short"]
            option = typer.Option(
                *([short, flag(field.name)] if short else []),
                help=text,
                show_default=field.default is not False,
                metavar="",  # a column of types would leave too little room for names and texts
                rich_help_panel=panels[field.name],
            )
            if field.name in arguments:
                option = typer.Argument(metavar=arguments[field.name], help=text)
            kind: typing.Any = _flag_type(hints[field.name])
            default = field.default
            if is_required:
                default, kind = (None, kind | None) if has_sources else (_NO_DEFAULT, kind)
            parameters.insert(-1, _parameter(field.name, default, Annotated[kind, option]))
        parameters.insert(0, _parameter("context", _NO_DEFAULT, typer.Context))
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _flags(config_class: type) -> list[dataclasses.Field]:
    """The fields that are flags: those made by `settings.setting`."""
    return [field for field in dataclasses.fields(config_class) if "help" in field.metadata]


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _panels(config_class: type) -> dict[str, str | None]:
    """The panel of `--help` that each field is in; see `settings.setting`."""
    panels: dict[str, str | None] = {}
    panel = None
    for field in _flags(config_class):
        panel = panels[field.name] = field.metadata["panel"] or panel
    return panels


def _help(field: dataclasses.Field, hint) -> str:
    """The help text of a setting with its choices, if the text lacks any, or its range."""
    text = field.metadata["help"]
    choices = choices_of(hint)
    if not all(choice in text for choice in choices):
        text += f" ({', '.join(choices)})"
    if field.metadata["within"]:
        text += f" ({field.metadata['within'].text.partition(':')[0]})"
    return text


def _flag_type(hint):
    """The type of a flag; Python also takes path objects, and one string for a list."""
    if typing.get_origin(hint) not in (typing.Union, types.UnionType):
        return hint
    parts = typing.get_args(hint)
    has_list = any(typing.get_origin(part) is list for part in parts)
    drop = {os.PathLike[str], str} if has_list else {os.PathLike[str]}
    return typing.Union[tuple(part for part in parts if part not in drop)]  # noqa: UP007


def _parameter(name: str, default, kind) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
    )
