"""`read_checked`: a file of embeddings whose every row can be compared with the others."""

import os

import numpy as np

from ..errors import InputError
from ..evaluation.nearest import unit_vectors
from .file import EmbeddingsInfo, read_info, read_vectors


def read_checked(path: str | os.PathLike) -> tuple[EmbeddingsInfo, np.ndarray]:
    """Reads a file of embeddings whole, with every vector scaled to length 1.

    Args:
        path: `.npz` or `.parquet`.

    Returns:
        What the file holds besides its vectors, and float32 `(N, D)`; N >= 1.

    Raises:
        InputError: If it is no file of embeddings, holds none, a name is no text, names and
            vectors differ in number, or a number is not finite.
    """
    info = read_info(path)
    if not info.paths:
        raise InputError(f"{path} holds no embeddings. Expected at least one image.")
    if not all(isinstance(name, str) for name in info.paths):
        raise InputError(f"{path} does not hold embeddings: not all of its names are texts.")
    vectors = read_vectors(path)
    if len(vectors) != len(info.paths):
        raise InputError(
            f"{path} is damaged: it has {len(info.paths)} names and {len(vectors)} vectors. "
            "Embed the images again."
        )
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{path} has vectors with numbers that are not finite, {len(wrong)} of "
            f"{len(vectors)}, for example of {info.paths[wrong[0]]}. Check the model that "
            "embedded them, and embed the images again."
        )
    return info, unit_vectors(vectors)
