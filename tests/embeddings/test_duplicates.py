import numpy as np
import pytest

from simclr_keras.embeddings import duplicates as module
from simclr_keras.embeddings.duplicates import near_duplicates


@pytest.mark.parametrize("block", [3, 16, 2048])
def test_near_duplicates_equal_all_pairs(rng, monkeypatch, block):
    monkeypatch.setattr(module, "_BLOCK", block)
    vectors = rng.normal(size=(40, 3))
    vectors[31] = 2 * vectors[4]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    expected = {(i, j) for i in range(40) for j in range(i + 1, 40) if cosines[i, j] >= 0.9}
    pairs, found = near_duplicates(vectors, 0.9)
    assert set(map(tuple, pairs.tolist())) == expected and len(pairs) == len(expected)
    assert pairs[0].tolist() == [4, 31] and (np.diff(found) <= 0).all() and found[0] <= 1
    np.testing.assert_allclose(found, cosines[tuple(pairs.T)], atol=1e-6)
    few, _ = near_duplicates(vectors, 0.9, limit=3)
    np.testing.assert_array_equal(few, pairs[:3])


def test_identical_images_are_found_at_a_threshold_of_1(rng):
    vectors = np.repeat(rng.normal(size=(3, 512)), 2, axis=0)
    assert sorted(near_duplicates(vectors, 1.0)[0].tolist()) == [[0, 1], [2, 3], [4, 5]]
    assert near_duplicates(vectors[:1])[0].shape == (0, 2)


@pytest.mark.parametrize(
    "settings, text",
    [
        ({"threshold": 1.1}, "Received: threshold=1.1"),
        ({"limit": 0}, "Received: limit=0"),
    ],
)
def test_wrong_arguments(settings, text):
    with pytest.raises(ValueError, match=text):
        near_duplicates(np.ones((1, 2)), **settings)
