"""Prints what `evaluate` found when it compared encoders."""

from ..evaluation.paired import Difference
from ..runs.evaluate_result import EvaluateResult, Verdict
from .options import say

KINDS = {"knn": "kNN", "linear": "linear", "linear_sgd": "linear (SGD)"}
_NAME_WIDTH = 24
_MOST_SHOWN = 3  # comparisons in the table of labels


def print_verdict(results: EvaluateResult) -> None:
    """Prints the gains over other encoders, the labels they save, and the sentence at the end."""
    verdict = results.verdict
    if verdict is None:
        return
    say(f"\n{_compared_on(results, verdict)}")
    for name, reason in verdict.not_compared.items():
        say(f"  not compared with {name}: {reason}")
    if results.comparisons:
        _print_gains(results, verdict)
        _print_labels(results, verdict)
    say("")
    for line in _evidence(verdict):
        say(line)
    say(f"\n{verdict.sentence}")


def _compared_on(results: EvaluateResult, verdict: Verdict) -> str:
    if not verdict.near_duplicates:
        return (
            f"Compared on all {results.test_images} test images: none looks like a training image "
            f"({verdict.rule})."
        )
    return (
        f"Compared on {results.test_images - verdict.near_duplicates} of {results.test_images} test "
        f"images: {verdict.near_duplicates} look like a training image, {verdict.equal_images} of "
        f"them with the same pixels, and are left out ({verdict.rule})."
    )


def _print_gains(results: EvaluateResult, verdict: Verdict) -> None:
    def line(name: str, cells: list[tuple[str, str]]) -> None:
        texts = "".join(f"{accuracy:>14}{gain:>26}" for accuracy, gain in cells)
        say(f"  {_short(name):<{_NAME_WIDTH}}{texts}".rstrip())

    line("top-1 %", [(KINDS[kind], "gain of SimCLR") for kind in verdict.accuracies])
    line("SimCLR", [(f"{100 * a:.1f}", "") for a in verdict.accuracies.values()])
    for other in results.comparisons or []:
        accuracies = other.accuracies.items()
        line(other.title, [(f"{100 * a:.1f}", _points(other.gains[k])) for k, a in accuracies])
        if other.test_images_seen:
            say(f"    (pretrained on {other.test_images_seen} of the test images)")


def _print_labels(results: EvaluateResult, verdict: Verdict) -> None:
    others = (results.comparisons or [])[:_MOST_SHOWN]
    say(
        "\nBy labels per class: ridge regression on frozen features, mean top-1 % over the same "
        "draws of labels, and the gain of SimCLR:"
    )
    titles = "".join(f"{_short(other.title):>34}" for other in others)
    say(f"  {'labels':>8}{'SimCLR':>8}{titles}")
    for place, row in enumerate(verdict.label_curve):
        cells = ""
        for other in others:
            theirs = other.label_curve[place]
            gain = _points(theirs["gain"]) if "gain" in theirs else ""
            cells += f"{100 * theirs['mean']:8.1f}{gain:>26}"
        line = f"  {row['labels_per_class']:>8,}{100 * row['mean']:8.1f}{cells}"
        say(line.rstrip())


def _evidence(verdict: Verdict) -> list[str]:
    """What the sentence is based on, a line each."""
    found = verdict.evidence
    if found is None:
        return []
    slopes = {
        "A doubling of the labels adds": (
            found.more_labels,
            "too few labels to draw several times",
        ),
        "A doubling of the steps added, by the kNN in monitor.csv over the last half of the run,": (
            found.more_pretraining,
            "not known: it takes four measurements there",
        ),
    }
    return [
        f"{name} {_points(slope) + ' points' if slope else reason}."
        for name, (slope, reason) in slopes.items()
    ]


def _points(difference: Difference) -> str:
    """A difference of accuracies and its interval, in points."""
    numbers = (difference.mean, difference.low, difference.high)
    mean, low, high = (round(100 * x, 1) + 0.0 for x in numbers)  # without -0.0
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def _short(title: str) -> str:
    """The end of a long title: that of a path says most."""
    return title if len(title) < _NAME_WIDTH else f"...{title[4 - _NAME_WIDTH :]}"
