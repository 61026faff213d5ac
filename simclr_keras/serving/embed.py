"""`embed_images`: the embeddings of a folder of images, from an exported model."""

import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from ..data.images import decode_image, resize_and_center_crop
from ..errors import InputError
from .versions import load_exported, read_metadata

_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp")
_READERS = 4  # decoding releases the interpreter's lock


@dataclasses.dataclass(frozen=True)
class EmbedResult:
    """What `embed_images` wrote.

    Attributes:
        paths: The images that were embedded, relative to the folder.
        embeddings: float32 `(N, D)`, a row for each path.
        unreadable: The images that could not be decoded.
    """

    paths: list[str]
    embeddings: np.ndarray
    unreadable: list[str]


def embed_images(
    model: str | os.PathLike,
    images: str | os.PathLike | Sequence[str | os.PathLike],
    output: str | os.PathLike,
    batch_size: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> EmbedResult:
    """Embeds images with an exported model and writes paths and vectors to a file.

    Images are decoded one by one, so that one that cannot be read is named and left out and
    the others are embedded. The file is written whole or not at all.

    Args:
        model: Folder of an exported model, or of one version.
        images: A folder (searched recursively), an image, or a list of images.
        output: `.npz` with `paths`, `embeddings` and `unreadable`, or `.parquet` with a row
            for each image.
        batch_size: Images per forward pass.
        progress: Called with (images done, images in all).

    Returns:
        An `EmbedResult`.

    Raises:
        InputError: If there is no model, no image, no readable image, or the file type is
            unknown.
    """
    output = pathlib.Path(output)
    if output.suffix not in (".npz", ".parquet"):
        raise InputError(f"--output must end in .npz or .parquet. Received: {output}")
    size = read_metadata(model)["image_size"]
    root, files = _find(images)
    served = load_exported(model).signatures["serving_default"]
    paths, embeddings, unreadable = [], [], []

    def embed(batch):
        vectors = served(images=tf.stack([image for _, image in batch]))["embedding"].numpy()
        paths.extend(str(path.relative_to(root)) for path, _ in batch)
        embeddings.append(vectors)

    waiting = []
    for done, (path, image) in enumerate(_decoded(files, size), start=1):
        if image is None:
            unreadable.append(str(path.relative_to(root)))
        else:
            waiting.append((path, image))
        if waiting and (len(waiting) == batch_size or done == len(files)):
            embed(waiting)
            waiting = []
        if progress:
            progress(done, len(files))
    if not embeddings:
        raise InputError(
            f"None of the {len(files)} images could be read, such as {files[0]}. Expected "
            "complete JPEG, PNG, GIF or BMP files."
        )
    result = EmbedResult(paths, np.concatenate(embeddings), unreadable)
    _write(output, result)
    return result


def _find(images) -> tuple[pathlib.Path, list[pathlib.Path]]:
    """The folder that paths are relative to, and the images in order."""
    if not isinstance(images, (str, os.PathLike)):
        files = [pathlib.Path(image) for image in images]
        root = pathlib.Path()
    else:
        path = pathlib.Path(images)
        if path.is_dir():
            root = path
            files = sorted(p for p in path.rglob("*") if p.suffix.lower() in _SUFFIXES)
        else:
            root, files = path.parent, [path] if path.exists() else []
    if not files:
        raise InputError(
            f"There are no images in {images}. Expected a folder of JPEG, PNG, GIF or BMP files."
        )
    return root, files


def _decoded(files: Iterable[pathlib.Path], size: int):
    """(path, float32 (S, S, 3) or None), in order, a few images ahead of their use."""

    def decode(path):
        try:
            return path, resize_and_center_crop(decode_image(tf.io.read_file(str(path))), size)
        except tf.errors.OpError:
            return path, None

    files = iter(files)
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        pending = [pool.submit(decode, p) for p in itertools.islice(files, 4 * _READERS)]
        while pending:
            yield pending.pop(0).result()
            pending.extend(pool.submit(decode, p) for p in itertools.islice(files, 1))


def _write(output: pathlib.Path, result: EmbedResult) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.stem}.unfinished{output.suffix}")
    try:
        if output.suffix == ".npz":
            np.savez(
                unfinished,
                paths=np.array(result.paths, str),
                embeddings=result.embeddings,
                unreadable=np.array(result.unreadable, str),
            )
        else:
            import pyarrow
            import pyarrow.parquet

            vectors = pyarrow.FixedSizeListArray.from_arrays(
                result.embeddings.ravel(), result.embeddings.shape[1]
            )
            table = pyarrow.table({"path": result.paths, "embedding": vectors})
            pyarrow.parquet.write_table(table, unfinished)
        os.replace(unfinished, output)
    finally:
        unfinished.unlink(missing_ok=True)
