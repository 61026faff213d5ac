"""The settings of `check_data`, the only place where their defaults are set."""

import dataclasses
from dataclasses import MISSING

from ..errors import InputError
from ..settings import AT_LEAST_1, NOT_NEGATIVE, Range, Settings, setting


@dataclasses.dataclass(frozen=True)
class CheckDataConfig(Settings):
    """Which images `check_data` looks at, and what it calls odd.

    Raises:
        InputError: If a value is outside its range, or `output` is no page.

    Example:
        >>> import simclr_keras as sk
        >>> sk.CheckDataConfig("photos/", min_side=64).near_bits
        3

    Reference:
        See `check_data`.
    """

    dataset: str = setting(
        MISSING, "A folder of images or shards, or a dataset's name.", argument="FOLDER"
    )
    data_dir: str | None = setting(
        None, "Folder of TFDS data. Default: the environment variable TFDS_DATA_DIR."
    )
    min_side: int = setting(
        32, "Images with a shorter side below this, in pixels, are tiny.", AT_LEAST_1
    )
    near_bits: int = setting(
        3,
        "Of the 64 bits of a picture's hash, those in which near-duplicates may differ.",
        Range("in 0 to 8", lambda x: 0 <= x <= 8),
    )
    shown: int = setting(
        10, "Names to print of each kind; the page and the JSON have more.", NOT_NEGATIVE
    )
    output: str | None = setting(None, "HTML page with pictures to write. Default: none.")

    def __post_init__(self):
        super().__post_init__()
        if self.output is not None and not self.output.lower().endswith(".html"):
            raise InputError(f"`output` must end in .html. Received: output={self.output}")
