"""The command `evaluate`, and how accuracies are printed."""

from ..runs.config import EvaluateConfig
from ..runs.evaluate_result import EncoderAccuracy, EvaluateResult
from .options import command_of, print_json, print_page, say
from .verdict import KINDS, print_verdict

_CLASSES_SHOWN = 20
_NAME_WIDTH = 24


@command_of(EvaluateConfig)
def evaluate(config: EvaluateConfig, as_json: bool):
    """Weighted kNN and linear evaluation of frozen features; writes RUN/evaluation.json."""
    from ..runs.evaluate import evaluate as measure

    results = measure(config)
    print_accuracies(results)
    _print_neighbours(results)
    _print_classes(results)
    if config.learning_curve:
        _print_learning_curve(results)
    print_page(results.page)
    print_verdict(results)
    print_json(as_json, results.to_dict())


def print_accuracies(results: EvaluateResult) -> None:
    """Prints each encoder's accuracies with their intervals for test-set sampling error."""
    say(
        f"{results.train_images} training and {results.test_images} test images of "
        f"{results.dataset}, {results.classes} classes, frozen features; accuracy and its "
        "95 % interval:"
    )
    encoders = _encoders(results)
    width = max(16, *map(len, encoders))
    for encoder, row in encoders.items():
        for number, (name, found) in enumerate(_measurements(row).items()):
            low, high = found["top_1_interval"]
            top_5 = f"   top-5 {100 * found['top_5']:.1f} %" if "top_5" in found else ""
            say(
                f"  {encoder if number == 0 else '':<{width}} {name:<13} {100 * found['top_1']:5.1f} %"
                f" ({100 * low:.1f} to {100 * high:.1f}){top_5}"
            )
    if results.warning:
        say(f"  {results.warning}")
    if results.classes_without_test_images:
        missing = ", ".join(results.classes_without_test_images)
        say(f"  no test images of: {missing}")


def _encoders(results: EvaluateResult) -> dict[str, EncoderAccuracy]:
    others = {other.title: other.measured for other in results.comparisons or []}
    return {"SimCLR": results, **others}


def _measurements(row: EncoderAccuracy) -> dict[str, dict]:
    names = {"lbfgs": KINDS["linear"], "sgd": KINDS["linear_sgd"]}
    linear = {names[protocol]: found for protocol, found in row.linear.items()}
    return {KINDS["knn"]: row.knn, **linear}


def _print_neighbours(results: EvaluateResult) -> None:
    by_neighbours = results.knn["by_neighbours"]
    say("\nkNN by number of neighbours, top-1 %:")
    say("  " + "".join(f"{k:>8}" for k in by_neighbours))
    say("  " + "".join(f"{100 * a['top_1']:8.1f}" for a in by_neighbours.values()))


def _print_classes(results: EvaluateResult) -> None:
    """Prints accuracies per class: of all classes, or of the worst in linear evaluation."""
    measurements = _measurements(results)
    _, linear, *_ = measurements.values()
    shown = list(linear["per_class"])
    say("\nPer class, top-1 %:")
    if len(shown) > _CLASSES_SHOWN:
        shown = sorted(shown, key=lambda name: linear["per_class"][name]["accuracy"])
        say(f"  (the worst {_CLASSES_SHOWN} of {len(shown)}; all are in evaluation.json)")
    width = max(5, min(_NAME_WIDTH, max(map(len, shown))))

    def line(name: str, images, cells) -> None:
        label = name if len(name) <= width else f"{name[: width - 3]}..."
        say(f"  {label:<{width}}{images:>8}" + "".join(f"{cell:>14}" for cell in cells))

    line("class", "images", measurements)
    for name in shown[:_CLASSES_SHOWN]:
        cells = [found["per_class"][name] for found in measurements.values()]
        line(name, cells[0]["images"], [f"{100 * cell['accuracy']:.1f}" for cell in cells])
    means = [f"{100 * found['mean_per_class']:.1f}" for found in measurements.values()]
    line("mean", results.test_images, means)


def _print_learning_curve(results: EvaluateResult) -> None:
    encoders = _encoders(results)
    say(
        "\nHow many labels are enough? Ridge regression on frozen features, top-1 %,"
        " mean +- deviation over draws:"
    )
    say(f"  {'labels per class':<18}" + "".join(f"{name:>18}" for name in encoders))
    for rows in zip(*(row.learning_curve for row in encoders.values())):
        cells = [f"{100 * row['mean']:.1f} +- {100 * row['deviation']:.1f}" for row in rows]
        say(f"  {rows[0]['labels_per_class']:<18}" + "".join(f"{c:>18}" for c in cells))
    if results.learning_curve_picture:
        say(f"Picture: {results.learning_curve_picture}")
