"""Whether pretraining saw the images that a run is measured on."""

import collections
import dataclasses
import hashlib
import json
import logging
import os
from collections.abc import Iterator

from .. import stores
from ..data.datasets import folder_path, has_test_part, is_folder, is_same_data
from ..data.file_source import FileSource
from ..data.folders import training_folder
from ..data.sources import ImageSource
from .directory import RunDirectory
from .measured_images import seen_warning
from .pretrain_config import PretrainConfig

_LOGGER = logging.getLogger("simclr_keras")


def seen_fields(
    directory: RunDirectory | None,
    run: PretrainConfig,
    test: ImageSource | None,
    name: str,
    pretrained: bool = True,
) -> dict:
    """`test_images_seen` and `seen_in_pretraining` of `MeasuredImages`; logs the warning.

    Args:
        directory: The run; `None` without one.
        run: Its settings, with the place of its images as `dataset`.
        test: The test images; `None` if there are none.
        name: The data that they are from.
        pretrained: Whether the measured network began with the run's weights.
    """
    if directory is None or test is None:
        return {"test_images_seen": None, "seen_in_pretraining": None}
    count = count_seen(directory, run, test, name) if pretrained else 0
    warning = seen_warning(count, len(test))
    if warning:
        _LOGGER.warning(warning)
    return {
        "test_images_seen": count,
        "seen_in_pretraining": None if count is None else count > 0,
    }


def count_seen(
    directory: RunDirectory, run: PretrainConfig, test: ImageSource, name: str
) -> int | None:
    """How many test images the run's weights were trained on; `None` if that is not known.

    Weights that the run started from count too: the largest number of any run in the line.

    Args:
        directory: The run.
        run: Its settings, with the place of its images as `dataset`.
        test: The test images.
        name: The data that they are from.
    """
    held_out = _held_out(directory)
    counts = [
        None if before is None else _count_in_run(before, settings, test, name, held_out)
        for before, settings in _line(directory, run)
    ]
    return max(count or 0 for count in counts) or (None if None in counts else 0)


def _line(
    directory: RunDirectory, run: PretrainConfig
) -> Iterator[tuple[RunDirectory | None, PretrainConfig]]:
    """The run, the run whose weights it started from, and so on; `None` for other weights."""
    yield directory, run
    if run.weights is None:
        return
    before = RunDirectory(run.weights)
    if not before.is_begun:
        yield None, run
        return
    yield from _line(before, placed_settings(before))


def placed_settings(directory: RunDirectory) -> PretrainConfig:
    """The settings of a run, with the place where its images were as `dataset`."""
    settings = directory.read_config()
    place = directory.read_folder() or settings.dataset
    return dataclasses.replace(settings, dataset=place)


def _held_out(directory: RunDirectory) -> str | None:
    file = directory.held_out_file
    # File names need not be text.
    return file.read_text("utf-8", "surrogateescape") if file.exists() else None


def _count_in_run(
    directory: RunDirectory,
    run: PretrainConfig,
    test: ImageSource,
    name: str,
    held_out: str | None,
) -> int | None:
    """How many test images one run was trained on; `held_out` lists those of its own data."""
    is_own = is_same_data(name, run.dataset)
    if is_own and held_out is not None and _held_out(directory) == held_out:
        return 0
    if (
        isinstance(test, FileSource)
        and directory.images_file.exists()
        and is_folder(run.dataset)
    ):
        # Other files may be copies in another size or format.
        return _count_files(directory, run.dataset, test) or (0 if is_own else None)
    if not is_own or _held_out(directory) is not None:
        return None
    return 0 if has_test_part(run.dataset, run.data_dir) else len(test)


def _count_files(directory: RunDirectory, dataset: str, test: FileSource) -> int:
    """The number of test images that are files of the run, or copies under the same name.

    A file of the run that is no longer at its place was moved: its name and size are enough.
    """
    sizes = json.loads(directory.images_file.read_text())
    root = training_folder(folder_path(dataset))
    in_place = is_same_data(root, test.root)
    alike = collections.defaultdict(list)  # (name, size) -> files of the run
    for path, size in sizes.items():
        alike[os.path.basename(path), size].append(os.path.join(root, path))
    contents: dict[tuple, set] = {}

    def is_seen(index: int) -> bool:
        path, file = test.names[index], test.file(index)
        key = os.path.basename(path), test.size(index)
        if key not in alike:
            return False
        if in_place and sizes.get(path) == key[1]:
            return True
        if key not in contents:
            contents[key] = set(map(_content, alike[key]))
        return None in contents[key] or _content(file) in contents[key]

    return sum(map(is_seen, range(len(test))))


def _content(file: str) -> str | None:
    """A hash of a file's content; `None` if it does not exist."""
    if stores.stamp(file)[0] < 0:
        return None
    with stores.open_file(file) as stream:
        return hashlib.sha256(stream.read()).hexdigest()
