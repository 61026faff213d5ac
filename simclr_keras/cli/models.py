"""The commands on exported models: `export`, `embed`, `search`."""

import typer

from ..embeddings.config import EmbedConfig, SearchConfig
from ..runs.config import ExportConfig
from .options import command_of, print_json

_PARTLY_UNREADABLE = 3


@command_of(ExportConfig)
def export(config: ExportConfig, as_json: bool):
    """Export a SavedModel for TensorFlow Serving and for reuse."""
    from ..runs.export import export as write

    result = write(config)
    typer.echo(f"Exported model: {result.path}")
    print_json(as_json, result.to_dict())


@command_of(EmbedConfig)
def embed(config: EmbedConfig, as_json: bool):
    """Compute embeddings of a folder of images; exit code 3 if some could not be read."""
    from ..embeddings.embed import embed as write

    result = write(config)
    typer.echo(f"{result.count} embeddings of {result.dimension} numbers: {config.output}")
    for name, why in result.reasons.items():
        typer.echo(f"unreadable: {name} ({why})", err=True)
    print_json(as_json, result.to_dict())
    if result.reasons:
        raise typer.Exit(_PARTLY_UNREADABLE)


@command_of(SearchConfig)
def search(config: SearchConfig, as_json: bool):
    """Find nearest neighbours of images, or near-duplicates; writes text and an HTML page."""
    from ..embeddings.find import search as find

    result = find(config)
    for row in result.rows:
        if not config.duplicates:
            typer.echo(row.query)
        for match in row.matches:
            other = f"{row.query}  " if config.duplicates else ""
            typer.echo(f"  {match.cosine:.4f}  {other}{match.path}")
    if config.duplicates:
        typer.echo(f"{result.pairs} pairs with a cosine of at least {config.threshold:g}")
    typer.echo(f"Page: {result.page}")
    print_json(as_json, result.to_dict())
