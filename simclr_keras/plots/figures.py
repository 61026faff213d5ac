"""Pictures of a run, drawn with matplotlib and written without a display."""

import pathlib
from collections.abc import Sequence

import numpy as np


def save_view_pairs(
    path: str | pathlib.Path,
    images: Sequence[np.ndarray],
    *views: np.ndarray,
) -> pathlib.Path:
    """Writes a PNG with a column for each image: the image above its views.

    Args:
        path: The file to write; its folder is created.
        images: N images `(H, W, C)` of any size, uint8 or floating in [0, 1].
        *views: The first views, the second views, ...; floating `(N, S, S, C)` in [0, 1].

    Returns:
        The path.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    rows = {"image": images, **{f"view {i}": view for i, view in enumerate(views, start=1)}}
    size = 1.2 * len(images) + 0.6, 1.2 * len(rows) + 0.2
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), len(images), squeeze=False)
    for (name, pictures), line in zip(rows.items(), axes):
        for axis, picture in zip(line, pictures):
            picture = np.asarray(picture)
            axis.imshow(
                picture[..., 0] if picture.shape[-1] != 3 else picture,
                cmap="gray",
                vmin=0,
                vmax=255 if picture.dtype == np.uint8 else 1,
                interpolation="nearest",
            )
            axis.set_xticks([])
            axis.set_yticks([])
        line[0].set_ylabel(name)
    return _save(figure, path)


def save_draws(
    path: str | pathlib.Path,
    drawn: dict[str, np.ndarray],
    intended: dict[str, tuple[float, float]],
    shares: dict[str, tuple[float, float]],
) -> pathlib.Path:
    """Writes a PNG with a histogram of each drawn parameter, and how often each was applied.

    Args:
        path: The file to write; its folder is created.
        drawn: Values `(n,)` of each parameter; empty where it was never applied.
        intended: Minimum and maximum of each parameter that is uniform between them; a line
            shows that density.
        shares: (applied, intended) share of the views for each operation.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    columns = 4
    lines = -(-(len(drawn) + 1) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.4 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for axis, (name, values) in zip(axes, drawn.items()):
        axis.set_title(f"{name}, {len(values):,} draws", fontsize=9)
        if len(values):
            whole = np.issubdtype(values.dtype, np.integer)
            bins = np.arange(values.max() + 2) - 0.5 if whole else 40
            axis.hist(values, bins=bins, density=True, color="tab:blue", alpha=0.6)
        if name in intended:
            low, high = intended[name]
            axis.plot([low, low, high, high], [0, *[1 / (high - low)] * 2, 0], color="black")
        axis.set_yticks([])
    axis = axes[len(drawn)]
    places = np.arange(len(shares))
    axis.set_title("share of views: drawn (bars), intended (lines)", fontsize=9)
    axis.bar(places, [applied for applied, _ in shares.values()], color="tab:blue", alpha=0.6)
    expected = [share for _, share in shares.values()]
    axis.hlines(expected, places - 0.4, places + 0.4, color="black")
    axis.set_xticks(places, list(shares), fontsize=8)
    axis.set_ylim(0, 1)
    for axis in axes[len(drawn) + 1 :]:
        axis.axis("off")
    return _save(figure, path)


def save_curves(
    path: str | pathlib.Path, history: list[dict[str, str]], collapsed_loss: float
) -> pathlib.Path:
    """Writes a PNG of the logged values of a run over its steps.

    Args:
        path: The file to write; its folder is created.
        history: Rows of `history.csv`, at least one.
        collapsed_loss: Loss of equal projections, see `objective.nt_xent`; a dashed line.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure

    steps = [int(row["step"]) for row in history]
    names = [name for name in history[0] if name not in ("step", "epoch")]
    figure = Figure(figsize=(3.4 * len(names), 2.8), layout="constrained")
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        axis.plot(steps, [float(row[name]) for row in history], marker=".")
        axis.set_title(name.replace("_", " "), fontsize=9)
        axis.set_xlabel("step")
        if name == "loss":
            axis.axhline(collapsed_loss, color="black", linestyle="--", linewidth=1)
    return _save(figure, path)


def save_learning_curve(
    path: str | pathlib.Path,
    curves: dict[str, list[dict]],
    linear_accuracy: float | None,
    images: int,
) -> pathlib.Path:
    """Writes a PNG of accuracy over the number of labels per class.

    Args:
        path: The file to write; its folder is created.
        curves: Name of each encoder -> its rows of `evaluation.learning_curve`.
        linear_accuracy: Accuracy of linear evaluation of the first encoder on all labels, drawn
            as a dashed line; `None` for no line.
        images: Number of those labels.

    Returns:
        The path.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(5.6, 3.8), layout="constrained")
    axis = figure.subplots()
    for name, rows in curves.items():
        numbers = [row["labels_per_class"] for row in rows]
        mean = 100 * np.array([row["mean"] for row in rows])
        deviation = 100 * np.array([row["deviation"] for row in rows])
        (line,) = axis.plot(numbers, mean, marker="o", markersize=4, label=name)
        axis.fill_between(
            numbers,
            mean - deviation,
            mean + deviation,
            color=line.get_color(),
            alpha=0.2,
            linewidth=0,
        )
    if linear_accuracy is not None:
        label = f"linear evaluation, all {images:,} labels"
        axis.axhline(
            100 * linear_accuracy, color="black", linestyle="--", linewidth=1, label=label
        )
    axis.set_xscale("log")
    axis.set_xticks(numbers, [f"{number:,}" for number in numbers], rotation=45)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("labels per class")
    axis.set_ylabel("top-1 accuracy in %")
    axis.set_title("mean and standard deviation over label draws, frozen features", fontsize=9)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return _save(figure, path)


def _save(figure, path) -> pathlib.Path:
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return path
