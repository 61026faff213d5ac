"""`simclr-keras <command>`: parse, call one function, print.

Results go to standard output, logs to standard error. TensorFlow is imported by the commands
that need it, so that `--help` answers at once.
"""

import dataclasses
import logging
import os
import sys
from typing import Annotated

import typer

from ..errors import InputError, RunFailure
from ..runs.config import PretrainConfig
from .classifiers import distill, fine_tune
from .evaluate import evaluate, print_accuracies
from .models import embed, export, search
from .options import Json, Run, command_of, print_json

app = typer.Typer(
    name="simclr-keras",
    help="Pretrain image encoders without labels, with TensorFlow and Keras.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
_state = {"json": False, "debug": False}
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
    json: Json = False,
):
    """The whole line on handwritten digits, without a download: minutes on two CPU cores."""
    from ..runs.quickstart import quickstart as run

    results = run(run_dir, output)
    print_accuracies(results)
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
    print_json(json, results)


@app.command("pretrain")
@command_of(PretrainConfig)
def pretrain(config: PretrainConfig, as_json: bool):
    """Pretrain an encoder; the same command again resumes an unfinished run."""
    from ..runs.pretrain import pretrain as run

    result = run(config)
    if result.first_step == result.steps:
        typer.echo(f"The run in {result.run_dir} is finished ({result.steps} steps).")
    else:
        typer.echo(f"Pretrained {result.steps} steps, loss {result.loss:.4f}.")
    typer.echo(f"Encoder: {os.path.join(result.run_dir, 'encoder.keras')}")
    print_json(as_json, dataclasses.asdict(result))


@app.command()
def report(run: Run, json: Json = False):
    """Pictures of a run: views as trained on, what was drawn, curves; in RUN/report."""
    from ..runs.report import report as draw

    paths = draw(run)
    for path in paths.values():
        typer.echo(path)
    print_json(json, paths)


for _name, _command in {
    "evaluate": evaluate,
    "fine-tune": fine_tune,
    "distill": distill,
    "export": export,
    "embed": embed,
    "search": search,
}.items():
    app.command(_name)(_command)


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
    learning_rate: Annotated[
        float | None, typer.Option(help="Its learning rate; default: rounding stays small.")
    ] = None,
    l2: Annotated[float, typer.Option(help="L2 penalty to put on every kernel.")] = 0.0,
    tolerance: Annotated[float, typer.Option(help="Largest difference that passes.")] = 1e-5,
    json: Json = False,
):
    """Check that N replicas train an encoder as one does; exit code 1: they do not."""
    from ..training.verify_replicas import encoder_builder
    from ..training.verify_replicas import verify_replicas as verify

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
    typer.echo(
        f"{encoder}, {steps} steps of {optimizer} with a learning rate of "
        f"{report.learning_rate:g}: 1 replica against {replicas}"
    )
    typer.echo(f"  loss {report.losses[0]:.6f} and {report.losses[1]:.6f}")
    typer.echo(
        f"  weights moved by up to {report.moved:.1e}; rounding alone makes a difference of "
        f"{report.rounding:.1e}"
    )
    typer.echo("  largest difference of a weight, by variable:")
    for name, difference in report.variables[:_VARIABLES_SHOWN]:
        typer.echo(f"    {difference:9.2e}  {name}")
    typer.echo(f"    {len(report.variables)} variables in all, tolerance {tolerance:g}")
    for finding in report.findings:
        typer.echo(f"  {finding}")
    verdict = "train as one" if report.passed else "do NOT train as one"
    if report.passed and report.is_blurred:
        verdict += ", as far as rounding lets one see"
    typer.echo(f"{replicas} replicas {verdict}.")
    print_json(json, {"passed": report.passed, **dataclasses.asdict(report)})
    if not report.passed:
        raise typer.Exit(1)


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
