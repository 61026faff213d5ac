"""`simclr-keras <command>`: parse, call one function, print.

Results go to standard output, logs to standard error. TensorFlow is imported by the commands
that need it, so that `--help` answers at once.
"""

import contextlib
import dataclasses
import inspect
import json
import logging
import os
import sys
import typing
from typing import Annotated

import typer

from .errors import InputError, RunFailure
from .runs.config import PretrainConfig

app = typer.Typer(
    name="simclr-keras",
    help="Pretrain image encoders without labels, with TensorFlow and Keras.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_state = {"json": False, "debug": False}

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]
_Run = Annotated[str, typer.Argument(metavar="RUN", help="A run directory.")]
_RunOrOfficial = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run directory (or use --official).")
]
_Official = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", help="A checkpoint of the original SimCLR release, instead of RUN."
    ),
]
_OfficialSize = Annotated[
    int | None,
    typer.Option(min=1, help="Image size of --official; default: 224, or 32 by its stem."),
]
_Batch = Annotated[int, typer.Option(min=1, help="Images per forward pass.")]
_PARTLY_UNREADABLE = 3
_VARIABLES_SHOWN = 10


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
):
    _state["debug"] = debug


@app.command()
def quickstart(
    run_dir: Annotated[str, typer.Option(help="Folder of the run.")] = "runs/digits",
    output: Annotated[
        str, typer.Option(help="Folder of the exported model.")
    ] = "saved_models/digits",
    json: _Json = False,
):
    """The whole line on handwritten digits, without a download: minutes on two CPU cores."""
    from .runs.quickstart import quickstart as run

    results = run(run_dir, output)
    _print_accuracies(results)
    typer.echo("\nAccuracy (%) of a linear classifier, mean +- deviation over label draws:\n")
    typer.echo(f"{'labels per class':<18}{'SimCLR':>14}{'random encoder':>18}{'pixels':>14}")
    for row in results["few_labels"]:
        cells = (row[kind] for kind in ("simclr", "random_encoder", "pixels"))
        texts = [f"{100 * c['mean']:.1f} +- {100 * c['deviation']:.1f}" for c in cells]
        typer.echo(f"{row['labels_per_class']:<18}{texts[0]:>14}{texts[1]:>18}{texts[2]:>14}")
    typer.echo("\nSimCLR minus pixels (95 % interval of the mean of paired draws):")
    for row in results["few_labels"]:
        gain = row["gain_over_pixels"]
        typer.echo(
            f"  {row['labels_per_class']} per class: {100 * gain['mean']:+.1f} points "
            f"({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
        )
    typer.echo(f"\nExported model: {results['export']}")
    typer.echo(f"Pairs of views: {results['picture']}")
    _print_json(json, results)


def _pretrain(**settings):
    """Pretrain an encoder; the same command again resumes an unfinished run."""
    as_json = settings.pop("json")
    config = PretrainConfig(**settings)
    from .runs.pretrain import pretrain as run

    result = run(config)
    if result.first_step == result.steps:
        typer.echo(f"The run in {result.run_dir} is finished ({result.steps} steps).")
    else:
        typer.echo(f"Pretrained {result.steps} steps, loss {result.loss:.4f}.")
    typer.echo(f"Encoder: {os.path.join(result.run_dir, 'encoder.keras')}")
    _print_json(as_json, dataclasses.asdict(result))


def _signature_of_config() -> inspect.Signature:
    """The flags of `pretrain`: the fields of `PretrainConfig`, with their help."""
    hints = typing.get_type_hints(PretrainConfig)
    parameters = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty
                if field.default is dataclasses.MISSING
                else field.default
            ),
            annotation=Annotated[
                hints[field.name],
                typer.Option(help=field.metadata["help"]),
            ],
        )
        for field in dataclasses.fields(PretrainConfig)
    ]
    parameters.append(
        inspect.Parameter(
            "json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Json
        )
    )
    return inspect.Signature(parameters)


_pretrain.__signature__ = _signature_of_config()
_pretrain.__annotations__ = {
    name: parameter.annotation for name, parameter in _pretrain.__signature__.parameters.items()
}
app.command("pretrain")(_pretrain)


@app.command()
def evaluate(
    run: _RunOrOfficial = None,
    dataset: Annotated[
        str | None, typer.Option(help="Labelled data; default: the run's.")
    ] = None,
    eval_dataset: Annotated[
        str | None, typer.Option(help="Another dataset to measure on.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of TFDS data.")] = None,
    batch_size: _Batch = 256,
    compare_random: Annotated[
        bool, typer.Option(help="Measure the encoder with random weights too.")
    ] = False,
    official: _Official = None,
    image_size: _OfficialSize = None,
    json: _Json = False,
):
    """Weighted kNN and linear evaluation of frozen features; writes RUN/evaluation.json."""
    from .runs.evaluate import evaluate as measure

    results = measure(
        run, dataset, eval_dataset, data_dir, batch_size, compare_random, official, image_size
    )
    _print_accuracies(results)
    _print_json(json, results)


@app.command()
def report(run: _Run, json: _Json = False):
    """Pictures of a run: views as trained on, what was drawn, curves; in RUN/report."""
    from .runs.report import report as draw

    paths = draw(run)
    for path in paths.values():
        typer.echo(path)
    _print_json(json, paths)


@app.command()
def export(
    output: Annotated[str, typer.Option(help="Folder of the model: saved_models/NAME.")],
    run: _RunOrOfficial = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version number; default: the next free one.")
    ] = None,
    official: _Official = None,
    image_size: _OfficialSize = None,
    l2_normalise: Annotated[
        bool, typer.Option(help="Divide embeddings by their length.")
    ] = False,
    weights_dtype: Annotated[
        str, typer.Option(help="float32, or float16 or bfloat16: half the size, to serve only.")
    ] = "float32",
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, kept in metadata.json.")
    ] = None,
    json: _Json = False,
):
    """Write a SavedModel for TensorFlow Serving and for reuse."""
    from .runs.export import export as write

    path = write(
        run,
        output,
        version,
        official,
        image_size,
        l2_normalise=l2_normalise,
        weights_dtype=weights_dtype,
        licence=licence,
    )
    typer.echo(f"Exported model: {path}")
    _print_json(json, {"path": str(path)})


@app.command()
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
    batch_size: _Batch = 64,
    split: Annotated[
        str | None, typer.Option(help="train or test, of a dataset by name.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Folder of TFDS data.")] = None,
    json: _Json = False,
):
    """Embeddings of a folder of images; exit code 3: some could not be read."""
    from .serving.embed import embed_images

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
    _print_json(
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


@app.command()
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
    json: _Json = False,
):
    """Nearest neighbours of images, or near-duplicates: as text and as a page of pictures."""
    from .runs.search import find_duplicates, find_neighbours

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
    _print_json(json, result)


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


@app.command("verify-replicas")
def verify_replicas(
    encoder: Annotated[
        str, typer.Option(help="Encoder name, a .keras file, or module:function of yours.")
    ] = "simclr_resnet18",
    image_size: Annotated[int, typer.Option(min=1, help="Side of the images.")] = 32,
    width_multiplier: Annotated[float, typer.Option(help="Of a SimCLR ResNet.")] = 1.0,
    small_image_stem: Annotated[bool, typer.Option(help="Of a SimCLR ResNet.")] = False,
    replicas: Annotated[
        int, typer.Option(min=2, help="Logical devices to compare with 1.")
    ] = 2,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Over all replicas; default: 8 for each.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to train.")] = 5,
    optimizer: Annotated[str, typer.Option(help="sgd, lars or lamb.")] = "sgd",
    learning_rate: Annotated[float, typer.Option(help="Its learning rate.")] = 1e-3,
    l2: Annotated[float, typer.Option(help="L2 penalty to put on every kernel.")] = 0.0,
    tolerance: Annotated[float, typer.Option(help="Largest difference that passes.")] = 1e-5,
    json: _Json = False,
):
    """Check that N replicas train an encoder as one does; exit code 1: they do not."""
    from .runs.verify_replicas import encoder_builder
    from .runs.verify_replicas import verify_replicas as verify

    options = dict(width_multiplier=width_multiplier, small_image_stem=small_image_stem)
    report = verify(
        encoder_builder(encoder, image_size, **options),
        replicas=replicas,
        image_size=image_size,
        batch_size=batch_size,
        steps=steps,
        optimizer=optimizer,
        learning_rate=learning_rate,
        l2=l2,
        tolerance=tolerance,
    )
    typer.echo(f"{encoder}, {steps} steps of {optimizer}: 1 replica against {replicas}")
    typer.echo(f"  loss {report.losses[0]:.6f} and {report.losses[1]:.6f}")
    typer.echo("  largest difference of a weight, by variable:")
    for name, difference in report.variables[:_VARIABLES_SHOWN]:
        typer.echo(f"    {difference:9.2e}  {name}")
    typer.echo(f"    {len(report.variables)} variables in all, tolerance {tolerance:g}")
    for finding in report.findings:
        typer.echo(f"  {finding}")
    verdict = "train as one" if report.passed else "do NOT train as one"
    typer.echo(f"{replicas} replicas {verdict}.")
    _print_json(json, {"passed": report.passed, **dataclasses.asdict(report)})
    if not report.passed:
        raise typer.Exit(1)


def _print_accuracies(results: dict) -> None:
    rows = {"SimCLR": results, "random weights": results.get("random_encoder")}
    typer.echo(
        f"{results['train_images']} training and {results['test_images']} test images of "
        f"{results['dataset']}, frozen features"
    )
    for name, row in rows.items():
        if row:
            typer.echo(
                f"  {name:<16} kNN {100 * row['knn_accuracy']:.1f} %   "
                f"linear {100 * row['linear_accuracy']:.1f} %"
            )


def _print_json(wanted: bool, content: dict) -> None:
    if wanted:
        typer.echo(json.dumps(content))


def main() -> None:
    """Entry point: one line and an exit code for every error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("simclr_keras").setLevel(logging.INFO)
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        message = f"{error.format_message()} See: simclr-keras --help"
        code = _fail(message, error.exit_code)
    except typer.Abort:
        code = _fail("Interrupted. The same command continues.", 1)
    except InputError as error:
        code = _fail(str(error), 2)
    except (RunFailure, OSError) as error:
        code = _fail(str(error), 1)
    except Exception as error:
        code = _fail(f"unexpected {type(error).__name__}: {error}", 1)
    sys.exit(code)


def _fail(message: str, code: int) -> int:
    if _state["debug"] and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    print(f"simclr-keras: {' '.join(message.split())}", file=sys.stderr)
    return code
