"""The commands on labels: `fine-tune` and `distill`."""

from ..runs.classifier_config import DistillConfig, FineTuneConfig
from ..runs.classifier_results import DistillResult, FineTuneResult
from .options import command_of, print_json, print_page, say


@command_of(FineTuneConfig)
def fine_tune(config: FineTuneConfig, as_json: bool):
    """Fine-tune a run's network on few labels; writes RUN/fine-tuned/NAME."""
    from ..runs.fine_tune import fine_tune_run

    result = fine_tune_run(config)
    run = config.run_dir or config.run  # `run_dir` is where a trained model has its results
    trained_on = f"{result.labels} labels"
    if result.frozen:
        trained_on += ", a linear classifier on frozen features"
    _print(run, result, trained_on, as_json)


@command_of(DistillConfig)
def distill(config: DistillConfig, as_json: bool):
    """Train a student on a classifier's predictions; writes RUN/distilled/NAME."""
    from ..runs.distill import distill_run

    result = distill_run(config)
    _print(config.run, result, f"{result.images} images", as_json)


def _print(run: str, result: FineTuneResult | DistillResult, trained_on: str, as_json: bool):
    steps = (
        f", {result.steps} steps of {result.batch_size} ({result.optimizer}), weights of step "
        f"{result.best_step}"
    )
    say(f"{run}/{result.classifier}: {trained_on}{steps if result.steps else ''}")
    if result.test is None:
        say("  not measured: there are no labelled test images (name some with --eval-dataset)")
    else:
        low, high = result.test["top_1_interval"]
        top_5 = result.test.get("top_5")
        say(
            f"  test accuracy {100 * result.test['top_1']:.1f} % "
            f"(95 % interval {100 * low:.1f} to {100 * high:.1f}; {result.test_images} images of "
            f"{result.eval_dataset})" + (f", top-5 {100 * top_5:.1f} %" if top_5 else "")
        )
        if result.warning:
            say(f"  {result.warning}")
    print_page(result.page)
    print_json(as_json, result.to_dict())
