"""The images that a run was begun with: what they are, and where they are now."""

import dataclasses
import hashlib
import logging
import os
from collections.abc import Sequence

import numpy as np

from ..data.datasets import is_folder, is_same_data
from ..data.file_source import FileSource
from ..data.folders import walk
from ..data.parts import take_part
from ..data.shard_source import ShardSource
from ..data.sources import ImageSource
from ..errors import InputError, named
from ..local_copies import with_local_copies
from ..stores import is_remote, stamp
from .directory import RunDirectory
from .file_sizes import FileSizes, name_keys
from .pretrain_config import PretrainConfig
from .run_source import find_listed, run_source

_LOGGER = logging.getLogger("simclr_keras")


def image_sizes(source: ImageSource) -> FileSizes | None:
    """Path within the folder and size in bytes of each image, or shard; `None` if in memory."""
    if isinstance(source, ShardSource):
        sizes = {file: stamp(file)[0] for file in source.files}
        files = [file for file, size in sizes.items() if size >= 0]  # others are skipped
        root = os.path.commonpath(map(os.path.dirname, files))
        paths = [os.path.relpath(file, root) for file in files]
        return FileSizes(paths, [sizes[file] for file in files])
    if not isinstance(source, FileSource):
        return None
    return FileSizes(source.names, source.sizes)


def images_digest(source: ImageSource) -> int:
    """A number that differs if images differ: in their places or names, sizes or labels."""
    digest = hashlib.sha256()
    parts: list = [source.places, source.labels]
    if isinstance(source, FileSource):
        parts += [*source.names.buffers(), source.sizes]
    elif isinstance(source, ShardSource):
        names = "\0".join(map(os.path.basename, source.files))
        parts += [names.encode("utf-8", "surrogateescape")]
        parts += [source.shard, source.offset, source.length]
    for part in parts:
        digest.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else part)
    return int.from_bytes(digest.digest()[:7], "big")  # fits into an int64


def changed_meanwhile(
    source: ImageSource,
    held_out: ImageSource | None,
    sizes: FileSizes | None,
    since: float,
) -> str:
    """How the files of a run have changed while it went on; empty if they have not.

    Not looked at are files in a store, each of which would take a request.

    Args:
        source: The images that the run trains on.
        held_out: Those that it holds out.
        sizes: What `image_sizes` returned when it began.
        since: When that was, in seconds of `time.time`.
    """
    if not isinstance(source, FileSource):
        return _told((image_sizes(source) or FileSizes()).differences(sizes or FileSizes()))
    if is_remote(source.root):
        return ""
    now = FileSource(source.names, root=source.root)
    kinds = FileSizes(now.names, now.sizes).existing().differences(sizes or FileSizes())
    if os.path.isdir(source.root):
        known = [source.names, *([held_out.names] if isinstance(held_out, FileSource) else [])]
        found = walk(source.root, skip_closed=True).images
        is_new = ~np.isin(name_keys(found), np.concatenate([*map(name_keys, known)]))
        kinds["added"] = {
            path
            for path in found.take(np.flatnonzero(is_new))
            if _changed_at(os.path.join(source.root, path)) > since
        }
    return _told(kinds)


def _changed_at(file: str) -> float:
    """When a file was made or changed; 0 if it has vanished."""
    try:
        return os.stat(file).st_ctime
    except OSError:
        return 0.0


def check_images(directory: RunDirectory, sizes: FileSizes | None, name: str) -> None:
    """Raises an error if images are not those that a run was begun with.

    Args:
        directory: The run. If it is new, or an earlier version began it, nothing is checked.
        sizes: What `image_sizes` returned.
        name: The name of the images for messages.

    Raises:
        InputError: If images were added or changed, or are missing.
    """
    difference = _difference(directory, sizes)
    if difference:
        raise InputError(
            f"{name} does not hold the images that the run in {directory.path} was begun with: "
            f"{difference}. Restore them, name the folder that holds them with `dataset`, or "
            "choose another `run_dir`."
        )


def locate_images(
    directory: RunDirectory, dataset: str | None = None
) -> tuple[PretrainConfig, str | None]:
    """Finds the images of a run for a command on it.

    Args:
        directory: The run.
        dataset: The command's own `dataset`: other data, or a folder that the run's images were
            moved to.

    Returns:
        The run's settings, with the place of its images as `dataset`; and the name of other
        data, `None` for the run's own.

    Raises:
        InputError: If there is no run, or its images are needed but not where they were.
    """
    config, folder = directory.read_config(), directory.read_folder()
    # Where they were, however the run is called from elsewhere; or where a project was moved to.
    places = [place for place in (folder, config.dataset) if place and is_folder(place)]
    known = places[0] if places else config.dataset
    if dataset is not None and not is_same_data(dataset, known):
        if not (folder and is_folder(dataset) and directory.images_file.exists()):
            return config, dataset
        moved = dataclasses.replace(config, dataset=dataset)
        whole = run_source(moved, "all")
        held_out, missing = find_listed(directory, whole)
        trained = take_part(whole, "train", held_out, labelled=False)
        difference = _difference(directory, image_sizes(trained), missing)
        if not difference:
            return moved, None
        if not places:
            _LOGGER.info(
                "%s is other data than that of the run in %s (%s).",
                dataset,
                directory.path,
                difference,
            )
        return config, dataset
    if folder and not places:
        raise InputError(
            f"The images of the run in {directory.path} are no longer in {folder}. Name the "
            f"folder that holds them now with `dataset`. Received: dataset={dataset}"
        )
    if not is_same_data(known, config.dataset):
        config = dataclasses.replace(config, dataset=known)
    return config, None


def _difference(
    directory: RunDirectory, sizes: FileSizes | None, missing: Sequence[str] = ()
) -> str:
    """How images differ from those that a run was begun with; empty if they do not.

    Args:
        directory: The run.
        sizes: Of the images found to train on.
        missing: The images that the run held out and that were not found.
    """
    if not directory.images_file.exists():
        return ""
    kinds = (sizes or FileSizes()).differences(FileSizes.read(directory.images_file))
    kinds["missing"] |= set(missing)
    return _told(kinds)


def _told(kinds: dict[str, set[str]]) -> str:
    return ", ".join(
        f"{len(paths)} {kind} ({named(sorted(paths))})"
        for kind, paths in kinds.items()
        if paths
    )


@with_local_copies
def load_run_source(
    run: str | os.PathLike, split: str, dataset: str | None = None, data_dir: str | None = None
) -> ImageSource:
    """Loads the labelled images that `evaluate` would fit on or measure on.

    Args:
        run: A run directory.
        split: `"train"`; or `"test"`, what the run held out or the data's own test part.
        dataset: Other data, or where the run's images are now. Defaults to the run's.
        data_dir: Folder of TFDS data. Defaults to the run's.

    Returns:
        An `ImageSource`.

    Raises:
        InputError: If there is no run, or its images cannot be found or have no labels.

    Example:
        >>> import simclr_keras as sk
        >>> len(sk.load_run_source("runs/digits", "test"))
        360

    Reference:
        See `evaluate`.
    """
    directory = RunDirectory(run)
    config, other = locate_images(directory, dataset)
    return run_source(config, split, other, data_dir, directory)
