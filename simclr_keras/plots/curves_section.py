"""The curves of a run over its steps."""

from .line_chart import Line, line_chart
from .run_facts import RunFacts

_PARTS = {"held_out": "held-out", "training_images": "fixed views"}


def curves_section(facts: RunFacts) -> str:
    """A chart for each number that was logged or measured; empty if there are none."""
    charts = "".join(_charts(facts))
    return f'<div class="charts">{charts}</div>\n' if charts else ""


def _charts(facts: RunFacts) -> list[str]:
    measured = facts.measurements
    part = _PARTS[measured[-1]["part"]] if measured else ""
    batch = facts.settings["batch_size"]

    def logged(name: str) -> list[tuple[float, float]]:
        return [(int(row["step"]), float(row[name])) for row in facts.history if row.get(name)]

    def of(name: str) -> list[tuple[float, float]]:
        return [(row["step"], row[name]) for row in measured if row.get(name) is not None]

    # The loss and the accuracy depend on how many others each view is compared with.
    comparable = (
        bool(measured)
        and measured[-1]["images"] == batch
        and (facts.settings.get("views", 2) == 2)
    )
    losses = [
        Line("training", logged("loss")),
        *([Line(part, of("loss"))] if comparable else []),
    ]
    level = ("collapse", facts.collapsed_loss)
    count = measured[-1]["images"] if measured else 0
    return [
        line_chart("Loss", losses, note="NT-Xent; lower is better", level=level),
        line_chart(
            "Contrastive accuracy",
            [
                Line("training", logged("contrastive_accuracy")),
                Line(part, of("contrastive_accuracy")),
            ],
            note=f"how often a view's partner is its nearest, among {2 * batch - 1} others"
            + ("" if comparable or not measured else f" ({part}: {2 * count - 1})"),
            percent=True,
        ),
        line_chart(
            "kNN accuracy",
            [Line(part, of("knn_accuracy"))],
            note="of images by the labels of their neighbours; the loss sees no labels",
            percent=True,
        ),
        line_chart(
            "Partners retrieved",
            [Line(part, of("retrieval"))],
            note="how often a view's partner is its nearest, by features",
            percent=True,
        ),
        line_chart(
            "Effective rank",
            [Line(part, of("effective_rank"))],
            note="how many directions the features use; 1 is collapse",
        ),
        line_chart(
            "Alignment",
            [Line(part, of("alignment"))],
            note="squared distance of the two views of an image, 0 to 2; read beside uniformity",
        ),
        line_chart(
            "Uniformity",
            [Line(part, of("uniformity"))],
            note="0 is collapse; lower is more evenly spread",
        ),
        line_chart(
            "Probe accuracy",
            [Line("training", logged("probe_accuracy"))],
            note="of a linear classifier that learns beside; no gradient reaches the encoder",
            percent=True,
        ),
        line_chart("Learning rate", [Line("training", logged("learning_rate"))]),
        line_chart("Images per second", [Line("training", logged("images_per_second"))]),
    ]
