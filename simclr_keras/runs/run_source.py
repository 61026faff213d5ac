"""`run_source` and `training_parts`: load images the way a run loads its own."""

import functools
import logging

import numpy as np

from ..data.datasets import has_test_part, is_same_data, load_source
from ..data.parts import FIFTH, choose_held_out, find_held_out, take_part
from ..data.sources import ImageSource
from ..errors import InputError, named
from .directory import RunDirectory
from .pretrain_config import PretrainConfig

_LOGGER = logging.getLogger("simclr_keras")


def training_source(run: PretrainConfig, directory: RunDirectory) -> ImageSource:
    """The images that a run trains on; see `training_parts`."""
    return training_parts(run, directory)[0]


def training_parts(
    run: PretrainConfig, directory: RunDirectory
) -> tuple[ImageSource, ImageSource | None]:
    """The images that a run trains on, and those that it holds out; `None` for none.

    A new run chooses them: the setting `hold_out`, or by default a fifth if there are labels and
    no test part. A run that was begun keeps its choice.

    Args:
        run: The settings of the run.
        directory: Its directory, which need not exist yet.

    Raises:
        InputError: If the data has a test part and `hold_out` is given, there are too few images,
            or images that the run held out are missing.
    """
    split = "train" if run.dataset == "digits" else "all"
    source = run_source(run, split)
    held_out = _listed(directory, source) if directory.is_begun else _chosen(run, source)
    if not len(held_out):
        return source, None
    return take_part(source, "train", held_out, labelled=False), source.subset(held_out)


def run_source(
    run: PretrainConfig,
    split: str,
    dataset: str | None = None,
    data_dir: str | None = None,
    directory: RunDirectory | None = None,
    hold_out: bool = True,
    labelled: bool = True,
) -> ImageSource:
    """Loads images for a command on a run, with the run's data settings.

    The test part of the run's own data is what the run held out. If it has no list of that, or of
    other data, the run's seed decides which fifth is held out. TFDS data is read from the run's
    `data_dir`, and unreadable files are skipped if the run skips them.

    Args:
        run: The settings of the run, with the place of its images as `dataset`.
        split: See `load_source`.
        dataset: Name of other data. Defaults to the run's.
        data_dir: Folder of TFDS data. Defaults to the run's.
        directory: The run's directory, where its list is. Defaults to none.
        hold_out: See `load_source`; what a run held out is the test part in any case.
        labelled: See `load_source`.

    Raises:
        InputError: As `load_source`, and if images that the run held out are missing.
    """
    name = dataset or run.dataset
    load = functools.partial(
        load_source,
        name,
        data_dir=data_dir or run.data_dir,
        seed=run.seed,
        skip_unreadable=run.skip_unreadable,
    )
    is_own = is_same_data(name, run.dataset)
    if directory is None or not is_own or not directory.held_out_file.exists():
        return load(split, hold_out=hold_out, labelled=labelled)
    source = load("all")
    held_out = _listed(directory, source) if hold_out or split == "test" else None
    return take_part(source, split, held_out, labelled)


def find_listed(directory: RunDirectory, source: ImageSource) -> tuple[np.ndarray, list[str]]:
    """What a run that was begun holds out; nothing if it has no list.

    Args:
        directory: The run.
        source: All images.

    Returns:
        The sorted indices of the images of its list, and the names of those that are missing.
    """
    if not directory.held_out_file.exists():
        return np.array([], np.int64), []
    return find_held_out(directory.held_out_file, source)


def _chosen(run: PretrainConfig, source: ImageSource) -> np.ndarray:
    """The indices of what a new run holds out."""
    nothing = np.array([], np.int64)
    if has_test_part(run.dataset, run.data_dir):
        if run.hold_out is None:
            return nothing
        raise InputError(
            f"{run.dataset} has a test part, which pretraining does not see: leave `hold_out` "
            f"out, or name a folder without splits. Received: hold_out={run.hold_out:g}"
        )
    if run.hold_out is not None:
        return choose_held_out(source, run.hold_out, run.seed) if run.hold_out else nothing
    if not source.has_labels:
        return nothing
    try:
        return choose_held_out(source, FIFTH, run.seed)
    except InputError as error:  # pretraining needs neither labels nor a test part
        _LOGGER.warning("Nothing is held out for evaluation: %s", error)
        return nothing


def _listed(directory: RunDirectory, source: ImageSource) -> np.ndarray:
    """The indices of what a run that was begun holds out."""
    held_out, missing = find_listed(directory, source)
    if missing:
        raise InputError(
            f"{source.name} lacks {len(missing)} of the {len(held_out) + len(missing)} images "
            f"that the run in {directory.path} held out: {named(missing)}. "
            "Restore them, or name the folder that holds them with `dataset`."
        )
    return held_out
