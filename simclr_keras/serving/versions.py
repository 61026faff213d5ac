"""Finds the numbered versions of an exported model and adds new ones atomically."""

import contextlib
import json
import os
import pathlib
import typing
from collections.abc import Iterator

import tensorflow as tf

from .. import stores
from ..errors import InputError
from ..files import unfinished_folder

METADATA_FILE = "metadata.json"


@contextlib.contextmanager
def new_version(path: pathlib.Path, version: int | None) -> Iterator[tuple[pathlib.Path, list]]:
    """Yields a folder to write a version into, and renames it to its number on success.

    Until then its name is not a number, so TensorFlow Serving ignores it; after an error
    nothing is left behind.

    Args:
        path: Folder of the model; it is created.
        version: Number of the version. Defaults to the next free one.

    Yields:
        The folder to write into, and a list to which the version's folder is added at the end.

    Raises:
        InputError: If the version exists.
    """
    if version is not None and (path / str(version)).exists():
        raise InputError(_exists(path, version))
    finished: list[pathlib.Path] = []
    with unfinished_folder(path) as unfinished:
        yield unfinished, finished
        while not finished:
            number = version or max(versions(path), default=0) + 1
            try:
                os.rename(unfinished, path / str(number))  # fails if the version exists
                finished.append(path / str(number))
            except OSError as error:
                if not (path / str(number)).exists():
                    raise
                if version is not None:  # another export was faster
                    raise InputError(_exists(path, version)) from error


def _exists(path: pathlib.Path, version: int) -> str:
    return (
        f"{path / str(version)} exists, and versions are never overwritten. Leave `version` out "
        "to take the next free one."
    )


def versions(path: str | os.PathLike) -> list[int]:
    """The numbers of the versions in a model's folder, in no particular order."""
    path = os.fspath(path)
    if stores.is_remote(path):
        found = stores.entries(path) if stores.is_folder(path) else []
        return [int(name) for name, is_folder in found if name.isdecimal() and is_folder]
    if not os.path.isdir(path):
        return []
    return [int(p.name) for p in os.scandir(path) if p.name.isdecimal() and p.is_dir()]


def find_version(path: str | os.PathLike) -> str:
    """The folder that holds `saved_model.pb`: `path` itself or its newest version.

    TensorFlow reads it in a store as on a disk.

    Raises:
        InputError: If there is none.
    """
    with stores.explained(f"{path} could not be read"):
        numbers = sorted(versions(path), reverse=True)
    for candidate in (os.fspath(path), *(stores.join(path, str(n)) for n in numbers)):
        if stores.has_file(stores.join(candidate, "saved_model.pb")):
            return candidate
    raise InputError(
        f"There is no exported model in {path}. Expected a folder with saved_model.pb, or one "
        "with numbered versions; create one with: simclr-keras export RUN --output saved_models/NAME"
    )


def read_metadata(path: str | os.PathLike) -> dict:
    """Reads `metadata.json` of an exported model.

    Raises:
        InputError: If there is no exported model, or this package did not write it.
    """
    file = stores.join(find_version(path), METADATA_FILE)
    try:
        with stores.open_file(file) as stream:
            return json.loads(stream.read())
    except FileNotFoundError:
        problem = "is missing"
    except ValueError:
        problem = "is damaged"
    raise InputError(
        f"{file} {problem}: expected the file that simclr-keras export writes, which has the "
        "model's image size. Export the model again."
    )


def embedding_dimension(path: str | os.PathLike) -> int:
    """The embedding dimension D of an exported encoder.

    Raises:
        InputError: If there is no exported model, or it is a classifier.
    """
    metadata = read_metadata(path)
    if "embedding_dimension" not in metadata:
        raise InputError(
            f"{path} is a classifier, which has no embeddings. Export the encoder: simclr-keras "
            "export RUN --output saved_models/NAME, without `classifier`."
        )
    return metadata["embedding_dimension"]


def load_exported(path: str | os.PathLike) -> typing.Any:
    """Loads an exported encoder for embedding or fine-tuning.

    Args:
        path: A version's folder, or the model's folder (uses the newest version).

    Returns:
        A callable `(images, training=False) -> (N, D)` with `variables`,
        `trainable_variables`, `regularization_losses` and `signatures`.

    Raises:
        InputError: If there is no exported model.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> path = sk.export_encoder(encoder, tempfile.mkdtemp() + "/tiny", image_size=16)
        >>> served = sk.load_exported(path.parent)
        >>> tuple(served(np.zeros((2, 16, 16, 3), "float32"), training=False).shape)
        (2, 64)

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """
    return tf.saved_model.load(find_version(path))
