"""The summary of a run in words: what was trained, on what, how well, and what is wrong."""

from collections.abc import Mapping, Sequence

from ..html_page import escaped
from .run_facts import RunFacts
from .svg import percent_text

SUMMARY_STYLE = """
.cards { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.card { flex: 1 1 9.5rem; border: 1px solid var(--line); border-radius: 8px; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.55rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card small { color: var(--muted); display: block; line-height: 1.35; }
.lead { font-size: 1.08rem; max-width: 46rem; }
.finding { border-left: 4px solid var(--bad); padding: .4rem .8rem; margin: .5rem 0; max-width: 46rem;
  background: var(--shade); }
.fine { border-left-color: var(--good); }
"""


def summary_section(facts: RunFacts) -> str:
    """Sentences, the numbers to remember, and what the diagnosis says."""
    sentences = [_trained(facts), *_accuracy(facts.evaluation), *_while_training(facts)]
    text = escaped(" ".join(sentences))
    cards = "".join(
        f'<div class="card"><small>{escaped(name)}</small><b>{escaped(value)}</b>'
        f"<small>{escaped(detail)}</small></div>\n"
        for name, value, detail in _cards(facts)
    )
    return f'<p class="lead">{text}</p>\n<div class="cards">{cards}</div>\n{_diagnosis(facts)}'


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _trained(facts: RunFacts) -> str:
    settings, made = facts.settings, facts.steps_made
    network = settings["encoder"]
    if settings.get("width_multiplier", 1.0) != 1.0:
        network += f" of width {settings['width_multiplier']:g}"
    on = f"the images of {settings['dataset']}"
    if images := facts.images.get("images"):
        on = f"{images:,} images of {settings['dataset']}"
        if held_out := facts.images.get("held_out"):
            on += f" ({held_out:,} more were held out)"
    if facts.total_steps == 0:
        return f"{network} with the weights of {settings.get('weights')}, without training."
    text = f"{network} was trained by contrastive learning, without labels, on {on}"
    if settings.get("weights"):
        text += f", starting from {settings['weights']}"
    if not made:
        return f"{text}."
    length = f"{made:,} steps of {settings['batch_size']} images"
    if images and made:
        length += f" ({made * settings['batch_size'] / images:.3g} passes over the data)"
    if seconds := facts.seconds_trained:
        length += f", {duration(seconds)} of training"
    if not facts.is_finished:
        of = f" of {facts.total_steps:,}" if facts.total_steps else ""
        return f"{text}. The run is not finished: {length}{of} are made."
    return f"{text}: {length}."


def protocols(evaluation: Mapping) -> dict[str, Mapping]:
    """Name of each measurement in `evaluation.json` -> its `classification_metrics`."""
    linear = evaluation.get("linear", {})
    names = {
        "linear evaluation": linear.get("lbfgs"),
        "linear evaluation (SGD)": linear.get("sgd"),
    }
    names["kNN"] = evaluation.get("knn")
    return {name: found for name, found in names.items() if found}


def other_encoders(evaluation: Mapping) -> dict[str, Mapping]:
    """Title of each encoder that was compared -> its accuracies, as those of the run."""
    if comparisons := evaluation.get("comparisons"):
        return {other["title"]: other["measured"] for other in comparisons}
    random = evaluation.get("random_encoder")
    return {"random weights": random} if random else {}


def _accuracy(evaluation: Mapping) -> list[str]:
    measured = protocols(evaluation)
    if not measured:
        return []
    (best, found), *others = measured.items()
    low, high = found["top_1_interval"]
    images, classes = evaluation["test_images"], evaluation["classes"]
    text = (
        f"On {images:,} test images of {classes} classes, {best} of its frozen features is right for "
        f"{percent_text(found['top_1'])} (95 % interval {percent_text(low)} to {percent_text(high)})"
    )
    text += (
        "".join(f", {name} for {percent_text(other['top_1'])}" for name, other in others) + "."
    )
    sentences = [text]
    before = protocols(evaluation.get("random_encoder", {}))
    if verdict := evaluation.get("verdict"):
        sentences.append(verdict["sentence"])
    elif best in before:
        sentences.append(
            f"The same network with random weights reaches {percent_text(before[best]['top_1'])}."
        )
    if rows := evaluation.get("few_labels"):
        row = rows[0]
        sentences.append(
            f"With {row['labels_per_class']} label per class its features reach "
            f"{percent_text(row['simclr']['mean'])}, raw pixels "
            f"{percent_text(row['pixels']['mean'])}."
        )
    if evaluation.get("test_images_seen"):
        sentences.append(
            f"Pretraining saw {evaluation['test_images_seen']:,} of these test images: on new images "
            "the accuracy may be lower."
        )
    return sentences


def _while_training(facts: RunFacts) -> list[str]:
    if len(facts.measurements) < 2:
        return []
    first, last = facts.measurements[0], facts.measurements[-1]
    names = {"held_out": "held-out images", "training_images": "training images"}
    when = f"at step {first['step']:,}" if first["step"] else "before the first step"
    if first.get("knn_accuracy") is None or last.get("knn_accuracy") is None:
        return [
            f"On {last['images']:,} {names[last['part']]}, the partner of a view was its nearest for "
            f"{percent_text(first['retrieval'])} {when} and is for "
            f"{percent_text(last['retrieval'])} now."
        ]
    return [
        f"While it trained, kNN on {names[last['part']]} went from "
        f"{percent_text(first['knn_accuracy'])} {when} to {percent_text(last['knn_accuracy'])}."
    ]


def _cards(facts: RunFacts) -> list[tuple[str, str, str]]:
    cards = []
    random = protocols(facts.evaluation.get("random_encoder", {}))
    for name, found in protocols(facts.evaluation).items():
        low, high = found["top_1_interval"]
        detail = f"{100 * low:.1f} to {percent_text(high)}"
        if name in random:
            detail += f"; random weights {percent_text(random[name]['top_1'])}"
        cards.append((name, percent_text(found["top_1"]), detail))
    measured = facts.measurements
    if not cards and measured and measured[-1].get("knn_accuracy") is not None:
        detail = f"{percent_text(measured[0]['knn_accuracy'])} at step {measured[0]['step']}"
        cards.append(
            ("kNN, while training", percent_text(measured[-1]["knn_accuracy"]), detail)
        )
    tested = [found for found in facts.classifiers if found.get("test_accuracy") is not None]
    if tested:
        best = max(tested, key=lambda found: found["test_accuracy"])
        cards.append(
            ("best classifier", percent_text(best["test_accuracy"]), best["classifier"])
        )
    if facts.history:
        last = facts.history[-1]
        cards.append(
            ("loss", f"{float(last['loss']):.3f}", f"collapse is {facts.collapsed_loss:.3f}")
        )
    if measured:
        rank, first = (row["effective_rank"] for row in (measured[-1], measured[0]))
        at = f"{first:.1f} at step {measured[0]['step']}"
        cards.append(("effective rank", f"{rank:.1f}", at))
    if seconds := facts.seconds_trained:
        speed = facts.steps_made * facts.settings["batch_size"] / seconds
        cards.append(("training", duration(seconds), f"{speed:,.0f} images per second"))
    return cards


def _diagnosis(facts: RunFacts) -> str:
    if facts.findings is None:
        return ""
    return _boxes(facts.findings) or (
        '<p class="finding fine">The diagnosis found nothing wrong: no collapse, no loss above that of '
        "collapse, no sign of a learning rate or temperature that does not fit.</p>\n"
    )


def _boxes(texts: Sequence[str]) -> str:
    return "".join(f'<p class="finding">{escaped(text)}</p>\n' for text in texts)
