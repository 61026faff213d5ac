"""The settings of the commands on embeddings, and the only copy of their defaults."""

import dataclasses
import os
from dataclasses import MISSING
from typing import Literal

from ..errors import InputError
from ..settings import AT_LEAST_1, NOT_NEGATIVE, SEED, Range, Settings, setting

_COSINE = Range("in (-1, 1]", lambda x: -1 < x <= 1)


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
    threshold: float = setting(0.98, "Minimum cosine similarity of near-duplicates.", _COSINE)
    model: str | os.PathLike[str] | None = setting(
        None,
        "Model for new queries, a program. Default: the one named in the embeddings file, if embed "
        "wrote it here with that model.",
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


@dataclasses.dataclass(frozen=True)
class MapConfig(Settings):
    """What the page of `map_embeddings` shows.

    Raises:
        InputError: If a value is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> sk.MapConfig("photos.npz", clusters=12).projection
        'tsne'

    Reference:
        See `map_embeddings`.
    """

    embeddings: str | os.PathLike[str] = setting(
        MISSING, "A file that embed wrote.", argument="EMBEDDINGS"
    )
    output: str | os.PathLike[str] | None = setting(
        None, "HTML page to write. Default: beside the embeddings."
    )
    images: str | os.PathLike[str] | None = setting(
        None,
        "Folder of the images shown on the page. Default: the one named in the embeddings file.",
    )
    pictures: int = setting(
        2000,
        "Most images whose pictures are in the page, about 2.5 kB each; of more, outliers, "
        "near-duplicates and a sample spread over the map.",
        NOT_NEGATIVE,
    )
    projection: Literal["tsne", "umap", "pca"] = setting(
        "tsne", "What places images on the map; umap needs umap-learn."
    )
    clusters: int | None = setting(
        None,
        "Number of clusters. Default: the one of 4 to 40 with the best silhouette.",
        AT_LEAST_1,
    )
    neighbours: int = setting(
        10,
        "Nearest neighbours of each image; outliers are far from the last of them.",
        AT_LEAST_1,
        short="-k",
    )
    threshold: float = setting(0.98, "Minimum cosine similarity of near-duplicates.", _COSINE)
    seed: int = setting(0, "Decides samples, clusters and places on the map.", SEED)


@dataclasses.dataclass(frozen=True)
class SelectConfig(Settings):
    """Which images `select` chooses from, and how many.

    Raises:
        InputError: If a value is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> sk.SelectConfig("photos.npz", output="to_label.csv").count
        100

    Reference:
        See `select`.
    """

    embeddings: str | os.PathLike[str] = setting(
        MISSING, "A file that embed wrote.", argument="EMBEDDINGS"
    )
    output: str | os.PathLike[str] = setting(
        MISSING, "CSV file to write: path,label (or index,label), with empty labels."
    )
    count: int = setting(100, "Images to choose.", AT_LEAST_1)
    labels: str | os.PathLike[str] | None = setting(
        None,
        "CSV file of images that have a label, as fine-tune takes it: none of them is chosen, and "
        "images like them come last.",
    )
    leave_out: str | os.PathLike[str] | None = setting(
        None, "CSV file of images never to choose, such as a run's held_out.csv."
    )
    seed: int = setting(0, "Decides the first centres of the clusters.", SEED)
