"""`write_projector`: features as TensorBoard's embedding projector shows them."""

import math
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

MOST_IMAGES = 1000  # the projector computes t-SNE and UMAP in the browser
_SIDE = 48  # of a thumbnail, in pixels; the sprite has at most 32 x 32 of them


def write_projector(
    folder: str | os.PathLike,
    features: np.ndarray,
    images: np.ndarray,
    columns: Mapping[str, Sequence[str]],
) -> pathlib.Path:
    """Writes `features.tsv`, `metadata.tsv`, `sprite.png` and `projector_config.pbtxt`.

    Args:
        folder: TensorBoard shows it as a run of its name.
        features: floating `(N, D)`, N at most `MOST_IMAGES`.
        images: uint8 `(N, S, S, C)`, a picture for each.
        columns: What is known about each image: name -> N texts.

    Returns:
        The configuration file, written last.
    """
    from tensorboard.plugins import projector

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "features.tsv", features, fmt="%.5g", delimiter="\t")
    rows = [[_in_a_cell(text) for text in row] for row in zip(*columns.values(), strict=True)]
    # The projector takes a single column to have no header.
    lines = [list(columns), *rows] if len(columns) > 1 else rows
    table = "".join("\t".join(line) + "\n" for line in lines)
    (folder / "metadata.tsv").write_text(table, encoding="utf-8")
    sprite, side = _sprite(images)
    (folder / "sprite.png").write_bytes(tf.io.encode_png(sprite).numpy())
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = "features"
    embedding.tensor_path, embedding.metadata_path = "features.tsv", "metadata.tsv"
    embedding.sprite.image_path = "sprite.png"
    embedding.sprite.single_image_dim.extend([side, side])
    projector.visualize_embeddings(str(folder), config)
    return folder / "projector_config.pbtxt"


def _sprite(images: np.ndarray) -> tuple[np.ndarray, int]:
    """uint8 `(R s, R s, C)`: the thumbnails row by row in a square; and their side s."""
    side, across = min(_SIDE, images.shape[1]), math.ceil(math.sqrt(len(images)))
    small = tf.image.resize(as_pictures(images), (side, side), method="area").numpy()
    small = np.round(small).astype(np.uint8)
    blank = np.full((across**2 - len(small), *small.shape[1:]), 255, np.uint8)
    grid = np.concatenate([small, blank]).reshape(across, across, *small.shape[1:])
    return grid.swapaxes(1, 2).reshape(across * side, across * side, -1), side


def as_pictures(images: np.ndarray) -> np.ndarray:
    """Images `(N, S, S, C)` with one channel or three, of those that they have."""
    channels = images.shape[-1]
    return images[..., :3] if channels >= 3 else images[..., :1]


def _in_a_cell(text: str) -> str:
    return " ".join(str(text).split()) or "-"
