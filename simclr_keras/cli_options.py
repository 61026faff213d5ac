"""Options that several commands share, and how a result is printed for programs."""

import json
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
