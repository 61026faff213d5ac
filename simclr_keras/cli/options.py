"""Options that several commands share, and how a result is printed for programs."""

import dataclasses
import inspect
import json
import typing
from collections.abc import Callable
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
Run = Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")]
RunOrOfficial = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run directory (or use --official).")
]
Official = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", help="A checkpoint of the original SimCLR release, instead of RUN."
    ),
]
OfficialSize = Annotated[
    int | None,
    typer.Option(min=1, help="Image size of --official; default: 224, or 32 by its stem."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images per forward pass.")]


def print_json(wanted: bool, content: dict) -> None:
    if wanted:
        typer.echo(json.dumps(content))


def command_of(config_class: type) -> Callable:
    """Makes `function(config, as_json)` a command with a flag for each field of a dataclass.

    A field's help is its metadata; one with `"argument"` there is an argument of that name.
    """

    def decorate(function: Callable) -> Callable:
        def command(**settings):
            as_json = settings.pop("json")
            return function(config_class(**settings), as_json)

        hints = typing.get_type_hints(config_class)
        fields = dataclasses.fields(config_class)
        parameters = [_parameter("json", False, Json)]
        for field in sorted(fields, key=lambda field: "argument" not in field.metadata):
            text, metavar = field.metadata["help"], field.metadata.get("argument")
            option = (
                typer.Argument(metavar=metavar, help=text)
                if metavar
                else typer.Option(help=text)
            )
            is_required = field.default is dataclasses.MISSING
            default = inspect.Parameter.empty if is_required else field.default
            kind = Annotated[hints[field.name], option]
            parameters.insert(-1, _parameter(field.name, default, kind))
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return decorate


def _parameter(name: str, default, kind) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
    )
