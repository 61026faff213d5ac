"""Pictures of a run, drawn with matplotlib and written without a display."""

import pathlib

import numpy as np


def save_view_pairs(
    path: str | pathlib.Path, images: np.ndarray, view_1: np.ndarray, view_2: np.ndarray
) -> pathlib.Path:
    """Writes a PNG with a column for each image: the image above its two views.

    Args:
        path: The file to write; its folder is made.
        images: `(N, H, W, C)`, uint8 or floating in [0, 1].
        view_1: floating `(N, S, S, C)` in [0, 1].
        view_2: floating `(N, S, S, C)` in [0, 1].

    Returns:
        The path.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    rows = {"image": images, "view 1": view_1, "view 2": view_2}
    figure = Figure(figsize=(1.2 * len(images) + 0.6, 3.8), layout="constrained")
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
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
