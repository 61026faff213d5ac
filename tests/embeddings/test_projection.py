"""Maps of more images than t-SNE takes, and the choices made among many."""

import numpy as np
import pytest

from simclr_keras.embeddings import clusters, projection, sprites
from simclr_keras.embeddings.clusters import cluster, duplicate_groups, neighbours_of_all
from simclr_keras.embeddings.projection import principal_components, project
from simclr_keras.embeddings.sprites import choose_shown


@pytest.fixture
def blobs(rng):
    """200 unit vectors in 5 groups, and their group."""
    group = np.arange(200) % 5
    vectors = 8 * np.eye(16)[group] + rng.normal(size=(200, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype("float32"), group


def test_images_outside_the_sample_lie_with_their_group(blobs, monkeypatch):
    vectors, group = blobs
    monkeypatch.setattr(projection, "MOST_FITTED", 60)
    monkeypatch.setattr(projection.sample, "__defaults__", (60,))
    components = principal_components(vectors, 0)
    assert components.shape == (200, 16)
    places = project(components, "tsne", 0)
    fitted = projection.sample(200, 0)
    outside = np.setdiff1d(np.arange(200), fitted)
    assert len(fitted) == 60 and len(np.unique(places[outside], axis=0)) > 130
    centres = np.stack([places[fitted][group[fitted] == k].mean(axis=0) for k in range(5)])
    nearest = np.linalg.norm(places[outside, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == group[outside]).all()


def test_the_silhouette_finds_the_number_of_groups(blobs):
    vectors, group = blobs
    assert len(clusters._CANDIDATES) > 3
    apart = np.concatenate([vectors, -vectors])  # 10 groups
    found = cluster(apart, None, 0)
    assert found.max() == 9
    assert len(set(zip(found[:200], group))) == 5  # each group is one cluster
    asked = cluster(vectors[group < 2], 2, 0)
    assert np.bincount(asked).tolist() == [40, 40]


def test_clusters_are_numbered_by_size():
    points = np.repeat(np.eye(3, dtype="float32"), [2, 5, 3], axis=0)
    assert cluster(points, 3, 0).tolist() == [2, 2, 0, 0, 0, 0, 0, 1, 1, 1]
    assert cluster(points, 40, 0).max() == 2  # no more clusters than different points


def test_an_image_is_not_its_own_neighbour_even_among_copies():
    vectors = np.repeat(np.eye(2, dtype="float32"), [5, 1], axis=0)
    places, cosines = neighbours_of_all(vectors, 2)
    assert places.shape == (6, 2) and not (places == np.arange(6)[:, None]).any()
    assert np.allclose(cosines[:5], 1) and np.allclose(cosines[5], 0)


def test_groups_of_duplicates_are_connected_pairs():
    pairs = np.array([[5, 6], [0, 3], [3, 8], [1, 8]])
    assert duplicate_groups(10, pairs) == [[0, 1, 3, 8], [5, 6]]
    assert duplicate_groups(10, pairs[:0]) == []


def test_pictures_are_spread_over_the_map():
    rng = np.random.default_rng(0)
    crowd = rng.normal(0, 0.004, (900, 2))
    lonely = rng.uniform(-1, 1, (20, 2))
    places = np.concatenate([crowd, lonely])
    chosen = choose_shown(places, [3, 3, 700], 40, 0)
    assert len(set(chosen.tolist())) == 40 and chosen[:2].tolist() == [3, 700]
    assert set(range(900, 920)) <= set(chosen.tolist())  # each has a cell of its own
    many = choose_shown(places, list(range(500)), 40, 0)
    assert set(many[:20].tolist()) == set(range(20))  # lists take half
    assert sorted(choose_shown(places, [], 5000, 0).tolist()) == list(range(920))
    assert sprites.SIDE * sprites.COLUMNS == 2000
