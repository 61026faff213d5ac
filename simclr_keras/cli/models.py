"""The commands on exported models: `export`, `embed`, `search`."""

import contextlib
from typing import Annotated

import typer

from ..errors import InputError
from .options import BatchSize, Json, Official, OfficialSize, RunOrOfficial, print_json

_PARTLY_UNREADABLE = 3


def export(
    output: Annotated[str, typer.Option(help="Folder of the model: saved_models/NAME.")],
    run: RunOrOfficial = None,
    classifier: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A fine-tuned or distilled classifier of the run."),
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version number; default: the next free one.")
    ] = None,
    official: Official = None,
    image_size: OfficialSize = None,
    l2_normalise: Annotated[
        bool, typer.Option(help="Divide embeddings by their length.")
    ] = False,
    weights_dtype: Annotated[
        str, typer.Option(help="float32, or float16 or bfloat16: half the size, to serve only.")
    ] = "float32",
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, kept in metadata.json.")
    ] = None,
    json: Json = False,
):
    """Write a SavedModel for TensorFlow Serving and for reuse."""
    from ..runs.export import export as write

    path = write(
        run,
        output,
        version,
        official,
        image_size,
        classifier=classifier,
        l2_normalise=l2_normalise,
        weights_dtype=weights_dtype,
        licence=licence,
    )
    typer.echo(f"Exported model: {path}")
    print_json(json, {"path": str(path)})


def embed(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="An exported model.")],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="A folder, images, a .txt file of paths, or a dataset's name.",
        ),
    ],
    output: Annotated[str, typer.Option(help="File to write: .npz or .parquet.")],
    batch_size: BatchSize = 64,
    split: Annotated[
        str | None, typer.Option(help="train or test, of a dataset by name.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of TFDS data.")] = None,
    json: Json = False,
):
    """Embeddings of a folder of images; exit code 3: some could not be read."""
    from ..search.embed import embed_images

    with _progress("Embedding") as progress:
        result = embed_images(
            model,
            images[0] if len(images) == 1 else images,
            output,
            batch_size=batch_size,
            split=split,
            data_dir=data_dir,
            progress=progress,
        )
    typer.echo(f"{result.count} embeddings of {result.dimension} numbers: {output}")
    for name, why in result.reasons.items():
        typer.echo(f"unreadable: {name} ({why})", err=True)
    print_json(
        json,
        {
            "output": output,
            "embeddings": result.count,
            "dimension": result.dimension,
            "unreadable": result.unreadable,
        },
    )
    if result.reasons:
        raise typer.Exit(_PARTLY_UNREADABLE)


def search(
    embeddings: Annotated[
        str, typer.Argument(metavar="EMBEDDINGS", help="A file that embed wrote.")
    ],
    queries: Annotated[
        list[str] | None,
        typer.Argument(metavar="QUERY...", help="Images, of the file or new ones."),
    ] = None,
    neighbours: Annotated[
        int, typer.Option("-k", "--neighbours", min=1, help="Neighbours of each query.")
    ] = 10,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Pairs of near-duplicates, instead of a query.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="Least cosine similarity of near-duplicates.")
    ] = 0.98,
    model: Annotated[
        str | None, typer.Option(help="Model for new queries; default: the one of the file.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Folder of the images; default: the one of the file.")
    ] = None,
    page: Annotated[
        str | None, typer.Option(help="HTML page to write; default: beside EMBEDDINGS.")
    ] = None,
    json: Json = False,
):
    """Nearest neighbours of images, or near-duplicates: as text and as a page of pictures."""
    from ..search.find import find_duplicates, find_neighbours

    if duplicates == bool(queries):
        raise InputError("Name images to search for, or pass --duplicates, but not both.")
    if duplicates:
        result = find_duplicates(embeddings, threshold, images, page)
    else:
        result = find_neighbours(embeddings, queries, neighbours, model, images, page)
    for row in result["rows"]:
        if not duplicates:
            typer.echo(row["query"])
        for match in row["matches"]:
            other = f"{row['query']}  " if duplicates else ""
            typer.echo(f"  {match['cosine']:.4f}  {other}{match['path']}")
    if duplicates:
        typer.echo(f"{result['pairs']} pairs with a cosine of at least {threshold:g}")
    typer.echo(f"Page: {result['page']}")
    print_json(json, result)


@contextlib.contextmanager
def _progress(text: str):
    """A bar on standard error, where that is a terminal: `(done, in all)` moves it."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
