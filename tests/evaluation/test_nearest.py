import numpy as np
import pytest

from simclr_keras.evaluation import nearest as module
from simclr_keras.evaluation.nearest import nearest


def _cosines(a, b):
    """float64, one pair after another."""
    return np.array([[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in b] for x in a])


@pytest.mark.parametrize(
    "queries_at_once, vectors_at_once", [(1, 1), (4, 7), (3, 64), (512, 16_384)]
)
@pytest.mark.parametrize("k", [1, 5, 200])
def test_equals_sorting_all_cosines(rng, monkeypatch, queries_at_once, vectors_at_once, k):
    monkeypatch.setattr(module, "_QUERIES", queries_at_once)
    monkeypatch.setattr(module, "_VECTORS", vectors_at_once)
    vectors, queries = rng.normal(size=(100, 6)), rng.normal(size=(4, 6))
    expected = np.argsort(-_cosines(queries, vectors), axis=1)[:, :k]
    places, cosines = nearest(queries, vectors, k)
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_allclose(
        cosines, np.take_along_axis(_cosines(queries, vectors), expected, 1), atol=1e-6
    )
    again = nearest(queries, iter(np.split(vectors, [3, 3, 40])), k)
    np.testing.assert_array_equal(again[0], places)


@pytest.mark.parametrize("block", [2, 2048])
def test_of_equal_ones_the_first_wins(monkeypatch, block):
    monkeypatch.setattr(module, "_VECTORS", block)
    vectors = np.array([[0, 1], [1, 0], [3, 0], [0, -1], [2, 0], [1, 1]], float)
    places, cosines = nearest(np.array([[5.0, 0]]), vectors, k=2)
    assert places.tolist() == [[1, 2]] and cosines.tolist() == [[1.0, 1.0]]


def test_a_zero_vector_is_similar_to_nothing():
    places, cosines = nearest(np.array([[1.0, 0]]), np.array([[0.0, 0], [0.1, 0]]), k=2)
    assert places.tolist() == [[1, 0]] and cosines.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: nearest(np.ones((1, 2)), np.ones((3, 2)), k=0), "Received: k=0"),
        (lambda: nearest(np.ones((1, 2)), np.ones((3, 4))), "Received: 2 and 4"),
        (lambda: nearest(np.ones((1, 2)), np.ones((0, 2))), "no vectors to search"),
        (lambda: nearest(np.ones((1, 2)), np.full((3, 2), np.nan)), "Received: 3 that are not"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call()
