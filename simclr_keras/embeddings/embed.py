"""`embed`: embeds a folder, a list of images, or a TFDS split."""

import dataclasses
import os
import pathlib
import re
import typing
from collections.abc import Callable, Sequence

import numpy as np

from .. import stores
from ..data.datasets import evaluation_dataset, folder_path, load_source, numbered
from ..data.decoding import FORMATS
from ..data.file_source import FileSource
from ..data.folders import find_images
from ..data.listing import is_special
from ..data.shard_folders import holds_shards
from ..data.sources import ImageSource
from ..errors import InputError, nothing_written, printable
from ..files import check_can_be_written
from ..local_copies import file_here, with_local_copies
from ..progress import counted, progress_shown
from ..result import Result
from ..serving.versions import embedding_dimension, find_version, load_exported, read_metadata
from .config import EmbedConfig
from .file import check_suffix, read_info, read_vectors, write_embeddings
from .trust import sign


@dataclasses.dataclass(frozen=True)
class EmbedResult(Result):
    """What `embed` wrote.

    Attributes:
        output: The file.
        count: N, the number of embedded images.
        dimension: D, the size of an embedding.
        reasons: For each unreadable image, name -> why it could not be read.
    """

    output: pathlib.Path
    count: int
    dimension: int
    reasons: dict[str, str]

    @property
    def unreadable(self) -> list[str]:
        """Names of the images that could not be read."""
        return list(self.reasons)

    @property
    def paths(self) -> list[str]:
        """Names of the images, relative to the folder; read from the file."""
        return read_info(self.output).paths

    @property
    def embeddings(self) -> np.ndarray:
        """float32 `(N, D)`, a row for each path; read from the file."""
        return read_vectors(self.output)

    def to_dict(self) -> dict[str, typing.Any]:
        return {
            "output": str(self.output),
            "embeddings": self.count,
            "dimension": self.dimension,
            "unreadable": self.unreadable,
        }


@nothing_written()
@progress_shown()
@with_local_copies
def embed(
    config: EmbedConfig, progress: Callable[[int, int], None] | None = None
) -> EmbedResult:
    """Embeds images with an exported model and writes paths and vectors to a file.

    Images are decoded individually and in parallel, as in evaluation; unreadable images are
    reported and skipped. The file is written whole or not at all. `.parquet` has a row (`path`,
    `embedding`) for each image and is written in constant memory; `.npz` has `paths`,
    `embeddings` and `unreadable`, and is written from memory at the end.

    Args:
        config: The settings.
        progress: Also called with (images done, images in total).

    Returns:
        An `EmbedResult`.

    Raises:
        InputError: If there is no model, no image, no readable image, or the file type is
            unknown.

    Example:
        >>> import simclr_keras as sk
        >>> model = sk.export(sk.ExportConfig("runs/digits", output="saved_models/digits"))
        >>> config = sk.EmbedConfig(model, "digits", split="test", output="digits.npz")
        >>> sk.embed(config).embeddings.shape
        (360, 64)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.1: h is kept for
        downstream tasks.
    """
    output = file_here(config.output, get=False)
    check_suffix(output, "`output`")
    check_can_be_written(output, "`output`")
    metadata, dimension = read_metadata(config.model), embedding_dimension(config.model)
    version = find_version(config.model)
    source, names = _find(config.images, config.split, config.data_dir)
    if source.channels != metadata["channels"]:
        raise InputError(
            f"{config.model} takes images of {metadata['channels']} channels. "
            f"Received: {source.name}, which has {source.channels}"
        )
    served = load_exported(version).signatures["serving_default"]
    root = stores.absolute(source.root) if isinstance(source, FileSource) else ""
    done = 0
    with (
        counted("Embedding", len(source), "images") as show,
        write_embeddings(output, root, stores.absolute(version), sign(version)) as rows,
    ):
        readable = []
        batches = evaluation_dataset(
            numbered(source), metadata["image_size"], config.batch_size, skip_unreadable=True
        )
        for batch, places in batches:
            index = places.numpy()
            vectors = served(images=batch)["embedding"].numpy()
            rows.add([names[i] for i in index], vectors)
            readable.append(index)
            done = int(index[-1]) + 1
            show(done)
            if progress:
                progress(done, len(source))
        left_out = np.setdiff1d(np.arange(len(source)), np.concatenate(readable or [[]]))
        reasons = {
            names[i]: source.why_unreadable(i) or "could not be decoded" for i in left_out
        }
        if not readable:
            name, why = next(iter(reasons.items()))
            raise InputError(
                f"None of the {len(source)} images could be read, for example {printable(name)} ({why}). "
                f"Expected complete {FORMATS} files."
            )
        rows.unreadable.extend(reasons)
    if progress:
        progress(len(source), len(source))
    count = len(source) - len(reasons)
    return EmbedResult(output, count, dimension, reasons)


def _find(
    images: str | os.PathLike | Sequence[str], split: str | None, data_dir: str | None
) -> tuple[ImageSource, Sequence[str]]:
    """The images, and the name of each in the output."""
    if not isinstance(images, (str, os.PathLike)):
        if len(images) == 1:  # the command line passes a folder as a list of one
            return _find(images[0], split, data_dir)
        return _listed([os.fspath(image) for image in images])
    path = folder_path(os.fspath(images))
    is_folder = stores.has_folder(path)
    is_there = is_folder or os.path.exists(path) or stores.has_file(path)
    if not is_there or (is_folder and holds_shards(path)):
        # A dataset's name or shards; otherwise load_source says what is wrong.
        # If the data has no test part, the training part is all of it here.
        source = load_source(
            str(images),
            split or "train",
            data_dir,
            hold_out=split == "test",
            labelled=False,
        )
        names = [f"{images}/{split or 'train'}/{index}" for index in range(len(source))]
        return source, names
    if split is not None:
        raise InputError(
            "`split` is for datasets given by name, such as cifar10; in a folder every image is "
            f"embedded. Pass the split's folder instead. Received: {images}, split={split}"
        )
    if is_folder:
        files = find_images(path)
        if not files:
            raise InputError(
                f"There are no images in {images}. Expected a folder of {FORMATS} files."
            )
        return _files(files, path)
    if path.endswith(".txt"):
        # File names may hold any byte, and characters at which `splitlines` would cut them.
        text = file_here(path).read_bytes().decode("utf-8-sig", "surrogateescape")
        return _listed(
            [line for line in re.split("\r?\n", text) if line.strip()], listed_in=path
        )
    folder, name = os.path.split(path)
    return _listed([name], folder)


def _listed(files: list[str], root: str = "", listed_in: str = "the list"):
    local = (name for name in files if not stores.is_remote(stores.join(root, name)))
    special = next((name for name in local if is_special(pathlib.Path(root, name))), None)
    if special:
        raise InputError(
            f"{special} is a pipe, a socket or a device. Expected {FORMATS} files."
        )
    return _files(files, root, listed_in)


def _files(files: Sequence[str], root: str, listed_in: str = ""):
    if not files:
        raise InputError(f"There are no images in {listed_in}: it is empty. Add at least one.")
    # File systems allow names that are not valid UTF-8; text files do not.
    names = [name.encode("utf-8", "backslashreplace").decode() for name in files]
    return FileSource(files, root=root, name="images"), names
