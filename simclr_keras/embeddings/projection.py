"""Vectors in fewer dimensions: what a map is drawn from."""

import typing

import numpy as np

from ..errors import RunFailure
from ..evaluation.nearest import nearest
from ..seeds import generator, seed_of_32_bits

Projection = typing.Literal["tsne", "umap", "pca"]
MOST_FITTED = 10_000  # t-SNE of more takes longer than anyone waits for a map
_DIMENSIONS = 50  # as van der Maaten & Hinton 2008, Section 4.2, reduce to 30
_PERPLEXITY = 30
_PLACED_BY = 5  # neighbours that decide where an image outside the subset goes


def principal_components(vectors: np.ndarray, seed: int) -> np.ndarray:
    """Up to 50 principal components: centred, so that vectors in a narrow cone spread out.

    Args:
        vectors: float32 `(N, D)`. Of more than 10,000, a sample decides the components.
        seed: Decides the sample.

    Returns:
        float32 `(N, d)`, d = min(50, N, D), the component of most variance first.
    """
    from sklearn.decomposition import PCA

    fitted = vectors[sample(len(vectors), seed)]
    pca = PCA(min(_DIMENSIONS, *fitted.shape), random_state=seed_of_32_bits(seed))
    with np.errstate(invalid="ignore"):  # the shares of no variance, of one image or equal ones
        pca.fit(fitted)
    return pca.transform(vectors).astype(np.float32, copy=False)


def project(components: np.ndarray, method: Projection, seed: int) -> np.ndarray:
    """Places images on a map on which similar ones are near.

    t-SNE and UMAP preserve who is near whom, by the cosine of the components; distances across
    the map, and sizes of groups, mean little. Of more than 10,000 images, t-SNE places a sample
    of 10,000, and each other image at the mean of its 5 nearest neighbours in the sample,
    weighted by exp((cosine - largest cosine) / 0.05).

    Args:
        components: float32 `(N, d)`, see `principal_components`.
        method: `"tsne"`, `"umap"` or `"pca"`, the first two components.
        seed: Decides the sample and the random draws.

    Returns:
        float32 `(N, 2)`, centred, the largest absolute coordinate 1 (0 if all are equal).

    Raises:
        RunFailure: If UMAP is not installed.

    Reference:
        van der Maaten & Hinton 2008, "Visualizing Data using t-SNE", JMLR 9; McInnes et al.
        2018, https://arxiv.org/abs/1802.03426.
    """
    umap = import_umap() if method == "umap" else None
    spread = np.ptp(components[:, 0])
    # Of fewer than 5 images, or in 2 dimensions, there are no neighbourhoods to preserve.
    if method == "pca" or min(len(components) - 2, components.shape[1]) < 3 or spread < 1e-6:
        places = np.zeros((len(components), 2), np.float32)
        places[:, : components.shape[1]] = components[:, :2]
    elif umap is not None:
        neighbours = min(15, len(components) - 1)
        reducer = umap.UMAP(
            n_neighbors=neighbours,
            metric="cosine",
            random_state=seed_of_32_bits(seed),
            n_jobs=1,
        )
        places = reducer.fit_transform(components)
    else:
        places = _tsne(components, seed)
    places = places - (places.max(axis=0) + places.min(axis=0)) / 2
    return (places / max(np.abs(places).max(), 1e-6)).astype(np.float32)


def import_umap():
    """The module `umap`.

    Raises:
        RunFailure: If it is not installed.
    """
    try:
        import umap
    except ImportError as error:
        raise RunFailure(
            "`projection=umap` needs umap-learn, which is not installed. "
            'Run: pip install "simclr_keras[umap]"'
        ) from error
    return umap


def sample(count: int, seed: int, most: int = MOST_FITTED) -> np.ndarray:
    """Sorted indices of up to `most` of `count` images, drawn without replacement."""
    if count <= most:
        return np.arange(count)
    return np.sort(generator(seed).choice(count, most, replace=False))


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE

    fitted = sample(len(components), seed)
    tsne = TSNE(
        metric="cosine",
        init="pca",
        perplexity=min(_PERPLEXITY, (len(fitted) - 1) / 3),
        random_state=seed_of_32_bits(seed),
    )
    placed = tsne.fit_transform(components[fitted])
    if len(fitted) == len(components):
        return placed
    found, cosines = nearest(components, components[fitted], _PLACED_BY)
    weights = np.exp((cosines - cosines[:, :1]) / 0.05)
    weights /= weights.sum(axis=1, keepdims=True)
    places = np.einsum("nk,nkd->nd", weights, placed[found])
    places[fitted] = placed
    return places
