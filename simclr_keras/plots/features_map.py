"""`map_features`: features in the plane, near ones together."""

import numpy as np

_COMPONENTS = 30  # principal components that t-SNE begins with
_PERPLEXITY = 30.0
_COLLAPSED = 1e-4  # standard deviation of unit vectors along any axis
_FEW = 8  # images have no neighbourhoods


def map_features(features: np.ndarray) -> np.ndarray:
    """Places features in two dimensions by t-SNE of their first principal components.

    Args:
        features: floating `(N, D)`, N at least 2; a thousand take seconds.

    Returns:
        float32 `(N, 2)`.

    Reference:
        van der Maaten & Hinton 2008, "Visualizing Data using t-SNE".
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    count = len(features)
    if features.std(axis=0).max() < _COLLAPSED:  # t-SNE would divide by 0, and end the process
        return _two(features)
    components = min(_COMPONENTS, count, features.shape[1])
    # More threads wait for one another: where other programs run, for minutes.
    with threadpool_limits(1):
        principal = PCA(components, random_state=0).fit_transform(features)
        if count <= _FEW:
            return _two(principal)
        tsne = TSNE(perplexity=min(_PERPLEXITY, (count - 1) / 3), init="pca", random_state=0)
        return tsne.fit_transform(principal.astype(np.float32))


def _two(places: np.ndarray) -> np.ndarray:
    """The first two of the coordinates, 0 for those that there are not."""
    return np.pad(places, [(0, 0), (0, 2)])[:, :2].astype(np.float32)
