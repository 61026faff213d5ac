"""`run_source` and `training_source`: load images the way a run loads its own."""

from ..data.datasets import load_source
from ..data.sources import ImageSource
from .config import PretrainConfig


def training_source(run: PretrainConfig) -> ImageSource:
    """The images that a run trains on."""
    return run_source(run, "train" if run.dataset == "digits" else "all")


def run_source(
    run: PretrainConfig,
    split: str,
    dataset: str | None = None,
    data_dir: str | None = None,
    **options,
) -> ImageSource:
    """Loads images for a command on a run, with the run's data settings.

    The run's seed decides which fifth is held out, TFDS data is read from the run's `data_dir`, and
    unreadable files are skipped if the run skips them.

    Args:
        run: The settings of the run.
        split: See `load_source`.
        dataset: Name of other data. Defaults to the run's.
        data_dir: Folder of TFDS data. Defaults to the run's.
        **options: Other arguments of `load_source`.
    """
    return load_source(
        dataset or run.dataset,
        split,
        data_dir=data_dir or run.data_dir,
        seed=run.seed,
        skip_unreadable=run.skip_unreadable,
        **options,
    )
