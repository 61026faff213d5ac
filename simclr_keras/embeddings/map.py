"""`map_embeddings`: a page on which a person explores a folder of images."""

import dataclasses
import logging
import os
import pathlib

import numpy as np
from threadpoolctl import threadpool_limits

from ..evaluation.nearest import unit_vectors
from ..local_copies import file_here, with_local_copies
from ..progress import progress_shown
from ..result import Result
from .checked import read_checked
from .clusters import cluster, duplicate_groups, neighbours_of_all, outliers
from .config import MapConfig
from .duplicates import near_duplicates
from .map_page import MapContent, write_map_page
from .pictures import Pictures
from .projection import MOST_FITTED, import_umap, principal_components, project
from .sprites import choose_shown, sprite_sheets

_LOGGER = logging.getLogger("simclr_keras")
_OUTLIERS = 60
_GROUPS = 500  # of near-duplicates, on the page
_MOST_PAIRS = 100_000
_SPLITS = ("train", "test", "val", "validation")
_METHODS = {"tsne": "t-SNE", "umap": "UMAP", "pca": "PCA"}


@dataclasses.dataclass(frozen=True)
class MapResult(Result):
    """What `map_embeddings` found and wrote.

    Attributes:
        page: The HTML file.
        images: N, the number of images.
        pictures: How many of them have a picture in the page.
        folders: Class folders.
        clusters: Clusters.
        outliers: Names of the images farthest from their k-th neighbour, the farthest first.
        duplicates: Names in each group of near-duplicates, the largest group first.
    """

    page: pathlib.Path
    images: int
    pictures: int
    folders: int
    clusters: int
    outliers: list[str]
    duplicates: list[list[str]]


@progress_shown()
@with_local_copies
def map_embeddings(config: MapConfig) -> MapResult:
    """Writes one HTML page with a map of the images, to explore in a browser without a network.

    Images are reduced to 50 principal components and placed by t-SNE (see
    `projection.project`); clusters are those of k-means on the components, outliers the images
    with the greatest distance 1 - cosine to their k-th neighbour, near-duplicates all pairs of
    at least a cosine. Neighbours are exact. Every pair of images is compared, twice.

    Args:
        config: The settings.

    Returns:
        A `MapResult`.

    Raises:
        InputError: If the file does not hold embeddings, or they are not finite.
        RunFailure: If UMAP is wanted and not installed.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> vectors = np.random.default_rng(0).normal(size=(20, 8))
        >>> names = [f"cats/{i}.jpg" for i in range(20)]
        >>> np.savez("cats.npz", paths=names, embeddings=vectors)
        >>> result = sk.map_embeddings(sk.MapConfig("cats.npz", clusters=2))
        >>> result.images, result.page.name
        (20, 'cats_map.html')

    Reference:
        van der Maaten & Hinton 2008, "Visualizing Data using t-SNE", JMLR 9.
    """
    if config.projection == "umap":
        import_umap()  # before minutes of other work
    info, vectors = read_checked(config.embeddings)
    names, seed = info.paths, config.seed
    components = principal_components(vectors, seed)
    # On one thread the map is the same on every machine; threads that wait for each other
    # also take several times as long where other work is done.
    with threadpool_limits(1, user_api="openmp"):
        clusters = cluster(unit_vectors(components), config.clusters, seed)
        _LOGGER.info("Placing %d images with %s.", len(names), _METHODS[config.projection])
        places = project(components, config.projection, seed)
    _LOGGER.info("Comparing every image with every other.")
    neighbours, cosines = neighbours_of_all(vectors, config.neighbours)
    lonely, distances = outliers(cosines, _OUTLIERS)
    pairs, _ = near_duplicates(vectors, config.threshold, _MOST_PAIRS)
    if len(pairs) == _MOST_PAIRS:
        _LOGGER.warning(
            "Only the %d most similar pairs are kept. Raise `threshold` to find fewer.",
            _MOST_PAIRS,
        )
    groups = duplicate_groups(len(names), pairs)
    folders, folder_of = np.unique([class_folder(name) for name in names], return_inverse=True)
    listed = [*lonely.tolist(), *(index for group in groups[:_GROUPS] for index in group)]
    shown = choose_shown(places, listed, config.pictures, seed)
    drawn, sheets = sprite_sheets(names, shown, Pictures(info, config.images))
    embeddings = file_here(config.embeddings)
    page = embeddings.with_name(f"{embeddings.stem}_map.html")
    if config.output:
        page = file_here(config.output, get=False)
    content = MapContent(
        title=f"Map of {os.path.basename(info.root) or embeddings.stem}",
        names=names,
        places=places,
        folder=folder_of,
        folders=folders.tolist(),
        cluster=clusters,
        neighbours=neighbours,
        cosines=cosines,
        outliers=lonely,
        distances=distances,
        groups=groups[:_GROUPS],
        drawn=drawn,
        sheets=sheets,
        notes=_notes(config, info.model, len(names), len(drawn), len(groups)),
    )
    return MapResult(
        page=write_map_page(page, content),
        images=len(names),
        pictures=len(drawn),
        folders=len(folders),
        clusters=int(clusters.max()) + 1,
        outliers=[names[index] for index in lonely],
        duplicates=[[names[index] for index in group] for group in groups],
    )


def class_folder(name: str) -> str:
    """The first folder of a name, after that of a split: what `pretrain` takes for its class."""
    folders = pathlib.PurePath(name).parts[:-1]
    if len(folders) > 1 and folders[0].lower() in _SPLITS:
        folders = folders[1:]
    return folders[0] if folders else ""


def _notes(config: MapConfig, model: str, images: int, drawn: int, groups: int) -> list[str]:
    """How the map was made, in sentences."""
    method = _METHODS[config.projection]
    # Of the model's path only its name and version: the page may be sent to anyone.
    notes = [f"Embedded with {'/'.join(pathlib.PurePath(model).parts[-2:])}." if model else ""]
    if config.projection == "pca":
        notes.append("The map shows the first two principal components.")
    else:
        notes.append(
            f"{method} of up to 50 principal components (seed {config.seed}): near images are "
            "alike; how far apart groups lie, and how large they are, means little."
        )
    if config.projection == "tsne" and images > MOST_FITTED:
        notes.append(
            f"A sample of {MOST_FITTED:,} images was placed by t-SNE, each other one at the mean "
            "of its 5 nearest in the sample."
        )
    how = "as asked" if config.clusters else "the number of 4 to 40 with the best silhouette"
    notes.append(f"Clusters: k-means, {how}.")
    notes.append(
        f"Outliers: the greatest distance (1 - cosine) to neighbour {config.neighbours}."
    )
    notes.append(f"Near-duplicates: a cosine of at least {config.threshold:g}.")
    if groups > _GROUPS:
        notes.append(f"The largest {_GROUPS} of {groups} groups of near-duplicates are listed.")
    if drawn < images:
        notes.append(f"{drawn:,} of {images:,} images have a picture in this page.")
    return [note for note in notes if note]
