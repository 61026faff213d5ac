"""The commands `quickstart`, `pretrain`, `report` and `verify-replicas`."""

import os

import typer

from ..runs.config import QuickstartConfig, ReportConfig
from ..runs.pretrain_config import PretrainConfig
from ..training.verify_config import VerifyConfig
from .evaluate import print_accuracies
from .options import command_of, print_json, print_page, say
from .verdict import print_verdict

_VARIABLES_SHOWN = 10


@command_of(QuickstartConfig)
def quickstart(config: QuickstartConfig, as_json: bool):
    """Run the whole pipeline on handwritten digits: no download, minutes on two CPU cores."""
    from ..runs.quickstart import quickstart as run

    results = run(config)
    print_accuracies(results)
    say("\nAccuracy (%) of a linear classifier, mean +- deviation over label draws:\n")
    say(f"{'labels per class':<18}{'SimCLR':>14}{'random encoder':>18}{'pixels':>14}")
    for row in results.few_labels:
        cells = (row[kind] for kind in ("simclr", "random_encoder", "pixels"))
        texts = [f"{100 * c['mean']:.1f} +- {100 * c['deviation']:.1f}" for c in cells]
        say(f"{row['labels_per_class']:<18}{texts[0]:>14}{texts[1]:>18}{texts[2]:>14}")
    say("\nSimCLR minus pixels (95 % interval of the mean of paired draws):")
    for row in results.few_labels:
        gain = row["gain_over_pixels"]
        say(
            f"  {row['labels_per_class']} per class: {100 * gain['mean']:+.1f} points "
            f"({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f})"
        )
    print_verdict(results)
    say(f"\nExported model: {results.export}")
    say(f"Pairs of views: {results.picture}")
    print_page(results.page)
    print_json(as_json, results.to_dict())


@command_of(PretrainConfig)
def pretrain(config: PretrainConfig, as_json: bool):
    """Pretrain an encoder; repeating the command resumes an unfinished run."""
    from ..runs.pretrain import pretrain as run

    result = run(config)
    if result.first_step == result.steps:
        say(f"The run in {result.run_dir} is finished ({result.steps} steps).")
    else:
        say(f"Pretrained {result.steps} steps, loss {result.loss:.4f}.")
    say(f"Encoder: {os.path.join(result.run_dir, 'encoder.keras')}")
    print_page(result.page)
    print_json(as_json, result.to_dict())


@command_of(ReportConfig)
def report(config: ReportConfig, as_json: bool):
    """Draw a run as one page to look at and to show: RUN/report/index.html."""
    from ..runs.report import report as draw

    paths = draw(config).to_dict()
    for path in paths.values():
        say(path)
    print_json(as_json, paths)


@command_of(VerifyConfig)
def verify_replicas(config: VerifyConfig, as_json: bool):
    """Check that N replicas train an encoder as one does; exit code 1 if they do not."""
    from ..training.verify_replicas import verify_replicas as verify

    report = verify(config)
    say(
        f"{config.encoder}, {config.steps} steps of {config.optimizer} with a learning rate of "
        f"{report.learning_rate:g}: 1 replica compared with {config.replicas}"
    )
    say(f"  loss {report.losses[0]:.6f} and {report.losses[1]:.6f}")
    say(
        f"  weights moved by up to {report.moved:.1e}; rounding alone changes them by up to "
        f"{report.rounding:.1e}"
    )
    say("  largest weight difference, by variable:")
    for name, difference in report.variables[:_VARIABLES_SHOWN]:
        say(f"    {difference:9.2e}  {name}")
    say(f"    {len(report.variables)} variables in total, tolerance {config.tolerance:g}")
    for finding in report.findings:
        say(f"  {finding}")
    verdict = "train as one" if report.passed else "do NOT train as one"
    if report.passed and report.is_blurred:
        verdict += ", within floating-point error"
    say(f"{config.replicas} replicas {verdict}.")
    print_json(as_json, report.to_dict())
    if not report.passed:
        raise typer.Exit(1)
