"""Encoders in `.keras` files: `load_encoder` and `save_encoder`."""

import contextlib
import importlib
import os
import pathlib
import re
import zipfile

import keras

from .. import stores
from ..errors import InputError
from ..files import whole_file
from ..keras_versions import check_loadable
from ..local_copies import file_here, with_local_copies
from .adapter import one_line, with_fast_norms, with_keras_layers, with_right_gradients
from .encoder import as_encoder
from .projection_head import ProjectionHead

_OPTIONAL = {"keras_cv", "keras_hub"}  # imported here if a file needs them


def is_encoder_file(name: str) -> bool:
    """Whether the name of an encoder is that of a file that holds one."""
    return name.endswith(".keras")


@with_local_copies
def load_encoder(path: str | os.PathLike) -> keras.Model:
    """Loads a saved encoder, such as `RUN/encoder.keras`.

    Keras reads the encoder of a run without this package too. This function prepares it for
    training as well: batch norms are synchronised over replicas and fast on one, and 1x1
    convolutions whose gradient TensorFlow computes wrongly on CPUs subsample first. It also reads
    files that contain layers of this package, and does not load optimizers.

    Args:
        path: A run directory, or a `.keras` file; written by the same Keras generation (2.15 or
            3).

    Returns:
        The encoder: images in [0, 1] to features `(N, D)`.

    Raises:
        InputError: If there is no such file, a folder holds no finished run, or the file contains
            classes that Keras does not know: the message names the packages to import. Those of
            KerasCV and KerasHub are imported here.
        RunFailure: On Keras 2.15, if `tf_keras` has been imported: loading would hang.

    Example:
        >>> import tempfile
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder("simclr_resnet18", 32, width_multiplier=0.125)
        >>> path = tempfile.mkdtemp() + "/encoder.keras"
        >>> encoder.save(path)
        >>> sk.load_encoder(path).output_shape
        (None, 64)

    Reference:
        https://keras.io/guides/serialization_and_saving/
    """
    return as_encoder(with_right_gradients(with_fast_norms(_load(path, "encoder.keras"))))


@with_local_copies
def load_projection_head(path: str | os.PathLike) -> ProjectionHead:
    """Loads the projection head of a run, for example to fine-tune from one of its layers.

    Args:
        path: A run directory, or its `projection_head.keras`.

    Returns:
        The head: features `(N, D)` to projections `(N, K)`.

    Raises:
        InputError: If there is no such file, or a folder holds no finished run.
        RunFailure: On Keras 2.15, if `tf_keras` has been imported: loading would hang.

    Example:
        >>> import simclr_keras as sk
        >>> head = sk.load_projection_head("runs/digits")
        >>> head.num_layers
        2

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 3: fine-tuning from a middle
        layer of the head.
    """
    return ProjectionHead.from_model(_load(path, "projection_head.keras"))


def _load(path: str | os.PathLike, of_run: str) -> keras.Model:
    """Reads a file, or that of a run directory."""
    check_loadable()
    path = file_here(path) if is_encoder_file(os.fspath(path)) else _run_here(path, of_run)
    if path.is_dir():
        path = path / of_run
        if not path.exists():
            raise InputError(
                f"{path.parent} is not the directory of a finished run: it has no {of_run}. Give a "
                "run directory or a .keras file."
            )
    if not path.exists():
        raise InputError(f"There is no file {path}. Give a run directory or a .keras file.")
    needed = _packages(path)
    for package in _OPTIONAL & needed:
        with contextlib.suppress(ImportError):
            importlib.import_module(package)
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except ValueError as error:
        if "safe_mode" not in str(error) and "lambda" not in str(error).lower():
            raise
        raise InputError(
            f"{path} contains Python code (a Lambda layer), which would run when it is loaded. Use a "
            "layer with a name instead, or load it with `keras.models.load_model` if you trust it. "
            f"Keras: {one_line(error)}"
        ) from error
    except TypeError as error:  # Keras found no class of that name
        if not needed:
            raise
        raise InputError(
            f"{path} contains classes of {', '.join(sorted(needed))}: import the module that defines "
            "them before you load it, and register them with "
            f"`keras.saving.register_keras_serializable()`. Keras: {one_line(error)}"
        ) from error


def _run_here(path: str | os.PathLike, of_run: str) -> pathlib.Path:
    """A run directory; of a remote one, the copy of one file."""
    if stores.is_remote(path):
        return file_here(stores.join(path, of_run)).parent
    return pathlib.Path(path)


def _packages(path: pathlib.Path) -> set[str]:
    """Packages of the classes in a `.keras` file, without Keras and this one."""
    if not zipfile.is_zipfile(path):
        return set()  # Keras says what is wrong with it
    with zipfile.ZipFile(path) as file:
        modules = re.findall(r'"module": "(\w+)', file.read("config.json").decode())
    return set(modules) - {"keras", "builtins", "simclr_keras"}


def save_encoder(encoder: keras.Model, path: str | os.PathLike) -> None:
    """Writes a network as a `.keras` file, which Keras reads without this package.

    The file appears when it is complete. A subclassed network needs the code of its class.

    Args:
        encoder: The network.
        path: The file.
    """
    with whole_file(path) as unfinished:
        with_keras_layers(encoder).save(unfinished)
