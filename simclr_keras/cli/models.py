"""The commands on exported models: `export`, `embed`, `search`."""

import contextlib

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

    with _progress("Embedding") as progress:
        result = write(config, progress)
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


@contextlib.contextmanager
def _progress(text: str):
    """A progress bar on standard error if that is a terminal; yields `update(done, total)`."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
