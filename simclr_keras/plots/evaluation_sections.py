"""What later commands measured on a run: accuracies, confusions, few labels and classifiers."""

from ..html_page import escaped
from .confusion import class_bars, confusion_matrix
from .line_chart import Line, line_chart
from .run_facts import RunFacts
from .summary_section import other_encoders, protocols
from .svg import percent_text
from .tables import table


def accuracy_section(facts: RunFacts) -> str:
    """All accuracies of `evaluate`, kNN by k, the confusion matrix and each class."""
    evaluation = facts.evaluation
    measured = protocols(evaluation)
    if not measured:
        return ""
    encoders = {"SimCLR": evaluation, **other_encoders(evaluation)}
    rows = [
        [encoder, name, *_accuracy(found), _or_dash(found.get("top_5"))]
        for encoder, all_found in encoders.items()
        for name, found in protocols(all_found).items()
    ]
    data, other = (escaped(evaluation[name]) for name in ("dataset", "eval_dataset"))
    data = data if data == other else f"{data} and {other}"
    text = (
        f"<p>{evaluation['train_images']:,} training and {evaluation['test_images']:,} test images "
        f"of {data}, {evaluation['classes']} classes, frozen features. Intervals are 95 %, for the "
        "choice of test images.</p>\n"
    )
    parts = [text, table(["encoder", "method", "top-1", "interval", "top-5"], rows)]
    name, best = next(iter(measured.items()))
    parts.append('<div class="beside">')
    if confusion := best.get("confusion"):
        matrix = confusion_matrix(confusion["classes"], confusion["counts"])
        parts.append(f"<div><h3>What is taken for what ({name})</h3>\n{matrix}</div>")
    bars = class_bars(best["per_class"])
    parts.append(f"<div><h3>Each class ({name})</h3>\n{bars}</div></div>\n")
    return "".join(parts)


def _accuracy(found) -> list[str]:
    low, high = found["top_1_interval"]
    return [percent_text(found["top_1"]), f"{100 * low:.1f} to {percent_text(high)}"]


def _or_dash(share) -> str:
    return "–" if share is None else percent_text(share)


def few_labels_section(facts: RunFacts) -> str:
    """Accuracy over the number of labels: the learning curve and the comparison of `quickstart`."""
    evaluation = facts.evaluation
    lines = [
        _curve(name, found["learning_curve"])
        for name, found in {"SimCLR": evaluation, **other_encoders(evaluation)}.items()
        if found.get("learning_curve")
    ]
    compared = evaluation.get("few_labels")
    charts = ""
    if lines:
        level = evaluation.get("linear_accuracy")
        charts += line_chart(
            "How many labels are enough?",
            lines,
            "labels per class",
            "ridge regression on frozen features; mean and deviation over draws of the labels",
            ("linear, all labels", level) if level is not None else None,
            percent=True,
            log_x=True,
        )
    if compared:
        kinds = {"simclr": "SimCLR", "random_encoder": "random weights", "pixels": "raw pixels"}
        charts += line_chart(
            "A few labels",
            [
                _curve(name, [{**row[kind], **_number(row)} for row in compared])
                for kind, name in kinds.items()
            ],
            "labels per class",
            "logistic regression; mean and deviation over draws of the labels",
            percent=True,
            log_x=True,
        )
    return f'<div class="charts large">{charts}</div>\n' if charts else ""


def _number(row) -> dict:
    return {"labels_per_class": row["labels_per_class"]}


def _curve(name: str, rows) -> Line:
    return Line(
        name,
        [(row["labels_per_class"], row["mean"]) for row in rows],
        [
            (max(0.0, row["mean"] - row["deviation"]), min(1.0, row["mean"] + row["deviation"]))
            for row in rows
        ],
    )


def classifiers_section(facts: RunFacts) -> str:
    """The fine-tuned and distilled classifiers, the best first."""
    if not facts.classifiers:
        return ""
    best_first = sorted(
        facts.classifiers, key=lambda found: found.get("test_accuracy") or 0.0, reverse=True
    )
    rows = []
    for found in best_first:
        test = found.get("test")
        accuracy, interval = _accuracy(test) if test else ("not measured", "–")
        trained_on = (
            f"{found['labels']:,} labels"
            if "labels" in found
            else f"predictions of {found['teacher']}, {found['images']:,} images"
        )
        begun = found.get("student", "pretrained")
        if found.get("from_scratch"):
            begun = "random weights"
        elif found.get("frozen"):
            begun = "pretrained, frozen"
        rows.append(
            [
                found["classifier"],
                trained_on,
                begun,
                f"{found['steps'] or 0:,}",
                accuracy,
                interval,
                f"{found['test_images']:,}",
            ]
        )
    head = [
        "classifier",
        "trained on",
        "begun from",
        "steps",
        "top-1",
        "interval",
        "test images",
    ]
    return table(head, rows)
