import numpy as np
import pytest
import reference

from simclr_keras import knn_accuracies, knn_accuracy
from simclr_keras.evaluation import knn, nearest


@pytest.mark.parametrize("k", [1, 3, 20, 1000])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_knn_equals_the_plain_loops(rng, k, temperature):
    train, test = rng.normal(size=(60, 5)), rng.normal(size=(25, 5))
    labels = rng.integers(0, 4, 60)
    expected = reference.knn(train, labels, test, k, temperature)
    assert knn_accuracy(train, labels, test, expected, k, temperature) == 1.0


def test_knn_by_hand():
    train = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 5.0]])
    labels = np.array([0, 1, 1, 2])
    query = np.array([[2.0, 0.0]])  # cosines 1, 0.8, 0.6, 0
    assert knn_accuracy(train, labels, query, [0], k=1) == 1.0
    # At temperature 1 class 1 has e^-0.2 + e^-0.4 = 1.49 votes against 1; at 0.1 it has 0.15.
    assert knn_accuracy(train, labels, query, [1], k=3, temperature=1.0) == 1.0
    assert knn_accuracy(train, labels, query, [0], k=3, temperature=0.1) == 1.0


def test_classes_that_only_one_part_has():
    train, labels = np.eye(3), np.array([0, 5, 2])
    assert knn_accuracy(train, labels, np.eye(3), np.array([0, 5, 7]), k=1) == pytest.approx(
        2 / 3
    )


def test_knn_checks_its_arguments():
    with pytest.raises(ValueError, match="1 labels of -1"):
        knn_accuracy(np.eye(2), [0, -1], np.eye(2), [0, 1])
    with pytest.raises(ValueError, match="Received: k=0"):
        knn_accuracy(np.eye(2), [0, 1], np.eye(2), [0, 1], k=0)
    with pytest.raises(ValueError, match="Received: temperature=0"):
        knn_accuracy(np.eye(2), [0, 1], np.eye(2), [0, 1], temperature=0)
    with pytest.raises(ValueError, match="3 labels, 2 features"):
        knn_accuracy(np.eye(2), [0, 1, 1], np.eye(2), [0, 1])


@pytest.mark.parametrize("block", [1, 7, 65_536])
def test_several_k_and_top_5_equal_the_plain_loops(rng, monkeypatch, block):
    monkeypatch.setattr(nearest, "_VECTORS", block)
    monkeypatch.setattr(knn, "_VOTES_BLOCK", 10 * block)
    train, test = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    labels, test_labels = 3 * rng.integers(0, 9, 50), 3 * rng.integers(0, 9, 30)
    found = knn_accuracies(train, labels, test, test_labels, k=(1, 4, 20, 1000))
    assert list(found) == [1, 4, 20, 1000]
    for k, accuracies in found.items():
        ranked = reference.knn_ranking(train, labels, test, k, temperature=0.1)
        for top in (1, 5):
            expected = np.mean([y in r[:top] for y, r in zip(test_labels, ranked)])
            assert accuracies[f"top_{top}"] == pytest.approx(expected)


def test_a_class_without_votes_is_not_among_the_five():
    train, labels = np.eye(6), np.arange(6)
    # One neighbour votes for one class: the other four places stay empty.
    assert knn_accuracies(train, labels, np.eye(6)[:1], [0], k=(1,))[1]["top_5"] == 1.0
    assert knn_accuracies(train, labels, np.eye(6)[:1], [1], k=(1,))[1]["top_5"] == 0.0


def test_five_classes_have_no_top_5():
    assert knn_accuracies(np.eye(5), np.arange(5), np.eye(5), np.arange(5), k=(1,)) == {
        1: {"top_1": 1.0}
    }


def test_several_k_check_their_arguments():
    with pytest.raises(ValueError, match="Received: k=\\(1, 0\\)"):
        knn_accuracies(np.eye(2), [0, 1], np.eye(2), [0, 1], k=(1, 0))
    with pytest.raises(ValueError, match="3 labels, 2 features"):
        knn_accuracies(np.eye(2), [0, 1], np.eye(2), [0, 1, 1])
    with pytest.raises(ValueError, match="Received: 2 and 0"):
        knn_accuracies(np.eye(2), [0, 1], np.zeros((0, 2)), [])
