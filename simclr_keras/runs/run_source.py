"""`run_source`: images, found and read as a run found and read its own."""

from ..data.datasets import load_source
from ..data.sources import ImageSource
from .config import PretrainConfig


def run_source(
    run: PretrainConfig,
    split: str,
    dataset: str | None = None,
    data_dir: str | None = None,
    **options,
) -> ImageSource:
    """Images for a command on a run: what the run says of its data holds for all of them.

    The run's seed decides which fifth is held out, TFDS data is where the run had it, and files
    that cannot be read are left out if the run left out its own.

    Args:
        run: The settings of the run.
        split: See `load_source`.
        dataset: Other data. Defaults to the run's.
        data_dir: Folder of TFDS data. Defaults to the run's.
        **options: Others of `load_source`.
    """
    return load_source(
        dataset or run.dataset,
        split,
        data_dir=data_dir or run.data_dir,
        seed=run.seed,
        skip_unreadable=run.skip_unreadable,
        **options,
    )
