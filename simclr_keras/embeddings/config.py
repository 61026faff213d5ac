"""The settings of `embed` and `search`, and the only copy of their defaults."""

import dataclasses
import os
from dataclasses import MISSING
from typing import Literal

from ..errors import InputError
from ..settings import AT_LEAST_1, Range, Settings, setting


@dataclasses.dataclass(frozen=True)
class EmbedConfig(Settings):
    """What `embed` embeds, and where it writes the embeddings.

    Raises:
        InputError: If a value is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> sk.EmbedConfig("saved_models/photos", "photos/", output="photos.npz").batch_size
        64

    Reference:
        See `embed`.
    """

    model: str | os.PathLike[str] = setting(
        MISSING, "An exported model, or one version of it.", argument="MODEL"
    )
    images: list[str] | str | os.PathLike[str] = setting(
        MISSING,
        "A folder (searched recursively), images, a .txt file with one path per line, or a "
        "dataset's name: `digits` or one of TFDS.",
        argument="IMAGES...",
    )
    output: str | os.PathLike[str] = setting(MISSING, "File to write: .npz or .parquet.")
    batch_size: int = setting(64, "Images per forward pass.", AT_LEAST_1)
    split: Literal["train", "test"] | None = setting(
        None, "Part of a dataset given by name. Default: its training part."
    )
    data_dir: str | None = setting(
        None, "Folder of TFDS data. Default: the environment variable TFDS_DATA_DIR."
    )


@dataclasses.dataclass(frozen=True)
class SearchConfig(Settings):
    """What `search` looks for, and in which embeddings.

    Raises:
        InputError: If a value is outside its range, or not exactly one of queries and
            duplicates is given.

    Example:
        >>> import simclr_keras as sk
        >>> sk.SearchConfig("photos.npz", ["photos/cat.jpg"], neighbours=5).duplicates
        False

    Reference:
        See `search`.
    """

    embeddings: str | os.PathLike[str] = setting(
        MISSING, "A file that embed wrote.", argument="EMBEDDINGS"
    )
    queries: list[str] | None = setting(
        None,
        "Images to search for: new ones, or names in the embeddings file, which need no model "
        "and are left out of their own neighbours.",
        argument="QUERY...",
    )
    neighbours: int = setting(10, "Neighbours of each query.", AT_LEAST_1, short="-k")
    duplicates: bool = setting(
        False, "Find pairs of near-duplicates, instead of neighbours of queries."
    )
    threshold: float = setting(
        0.98,
        "Minimum cosine similarity of near-duplicates.",
        Range("in (-1, 1]", lambda x: -1 < x <= 1),
    )
    model: str | os.PathLike[str] | None = setting(
        None, "Model for new queries. Default: the one named in the embeddings file."
    )
    images: str | os.PathLike[str] | None = setting(
        None,
        "Folder of the images shown on the page. Default: the one named in the embeddings file.",
    )
    page: str | os.PathLike[str] | None = setting(
        None, "HTML page to write. Default: beside the embeddings."
    )

    def __post_init__(self):
        super().__post_init__()
        if self.duplicates == bool(self.queries):
            raise InputError(
                "Name images to search for, or pass `duplicates`, but not both. Received: "
                f"queries={self.queries}, duplicates={self.duplicates}"
            )
