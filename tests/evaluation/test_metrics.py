import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from simclr_keras import classification_metrics
from simclr_keras.evaluation.metrics import is_among_best, metrics_of_hits


def test_by_hand():
    scores = np.array([[3.0, 1.0], [0.0, 2.0], [5.0, 4.0], [1.0, 0.0]])  # cat dog cat cat
    metrics = classification_metrics(scores, [0, 1, 1, 1], class_names=("cat", "dog"))
    assert metrics["top_1"] == 0.5
    assert metrics["mean_per_class"] == pytest.approx((1 / 1 + 1 / 3) / 2)
    assert metrics["per_class"] == {
        "cat": {"accuracy": 1.0, "images": 1},
        "dog": {"accuracy": pytest.approx(1 / 3), "images": 3},
    }
    assert "top_5" not in metrics  # of two classes both are among five


@pytest.mark.parametrize("k", [1, 2, 5])
def test_hits_equal_those_of_scikit_learn(rng, k):
    scores, labels = rng.normal(size=(200, 8)), rng.integers(0, 8, 200)
    hits = is_among_best(scores, labels, np.arange(8), k)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(8))
    assert hits.mean() == pytest.approx(expected)


def test_metrics_equal_those_of_scikit_learn(rng):
    scores, labels = rng.normal(size=(200, 8)), rng.integers(0, 8, 200)
    scores[np.arange(200), labels] += 1.0
    metrics = classification_metrics(scores, labels)
    predictions = scores.argmax(axis=1)
    assert metrics["top_1"] == (predictions == labels).mean()
    assert metrics["top_5"] == pytest.approx(
        top_k_accuracy_score(labels, scores, k=5, labels=np.arange(8))
    )
    assert metrics["mean_per_class"] == pytest.approx(
        balanced_accuracy_score(labels, predictions)
    )
    assert sum(c["images"] for c in metrics["per_class"].values()) == 200


def test_of_equal_scores_the_first_wins():
    equal = np.zeros((3, 3))
    assert is_among_best(equal, np.arange(3), np.arange(3), 1).tolist() == [True, False, False]
    assert is_among_best(equal, np.arange(3), np.arange(3), 2).tolist() == [True, True, False]


def test_what_is_not_a_number_is_a_miss():
    scores = np.array([[np.nan, np.nan], [-np.inf, -np.inf], [np.inf, 0.0]])
    hits = is_among_best(scores, np.array([0, 0, 0]), np.arange(2), 1)
    assert hits.tolist() == [False, False, True]


def test_a_class_that_the_classifier_lacks_is_a_miss():
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    metrics = classification_metrics(scores, [2, 7, 9, 0], classes=[2, 7], class_names=None)
    assert metrics["top_1"] == 0.5
    assert metrics["per_class"]["9"] == {"accuracy": 0.0, "images": 1}
    assert metrics["per_class"]["0"] == {"accuracy": 0.0, "images": 1}


def test_a_class_without_test_images_is_left_out():
    metrics = classification_metrics(np.eye(3)[:2], [0, 1], class_names=("a", "b", "c"))
    assert list(metrics["per_class"]) == ["a", "b"] and metrics["mean_per_class"] == 1.0


@pytest.mark.parametrize("right, count", [(0, 100), (37, 100), (80, 100), (100, 100), (1, 1)])
def test_the_interval_is_wilsons(right, count):
    metrics = metrics_of_hits(np.arange(count) < right, np.zeros(count, int))
    expected = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
    for name in ("top_1_interval", "mean_per_class_interval"):  # of a single class both are one
        assert metrics[name] == pytest.approx(list(expected), abs=1e-12)
        low, high = metrics[name]
        assert (low == 0.0) == (right == 0) and (high == 1.0) == (right == count)


def test_when_all_are_right_the_interval_has_a_width():
    """By hand, with 1.95996^2 = 3.84146: M of M right are M / (M + 3.84146) to 1."""
    metrics = metrics_of_hits(np.full(100, True), np.zeros(100, int))
    assert metrics["top_1_interval"] == [pytest.approx(0.963007, abs=1e-6), 1.0]
    metrics = metrics_of_hits(np.full(100, False), np.zeros(100, int))
    assert metrics["top_1_interval"] == [0.0, pytest.approx(0.036993, abs=1e-6)]
    # Ten classes of ten images are worth all 100; of 120, 60 and 20 images 9 / 0.075 = 120.
    metrics = metrics_of_hits(np.full(100, True), np.arange(100) % 10)
    assert metrics["mean_per_class_interval"] == [pytest.approx(0.963007, abs=1e-6), 1.0]
    metrics = metrics_of_hits(np.full(200, True), np.repeat([0, 1, 2], [120, 60, 20]))
    assert metrics["mean_per_class_interval"] == [pytest.approx(120 / 123.84146), 1.0]


@pytest.mark.parametrize(
    "rates, images",
    [
        ([0.9, 0.6, 0.3], [120, 60, 20]),
        ([0.999, 0.5], [1000, 10]),  # the few images of one class make it vary
        ([0.95] * 10, [10] * 10),
        ([0.8] * 100, [1] * 100),  # within no class can one see any variation
    ],
)
def test_the_interval_of_the_mean_over_classes_covers_it(rng, rates, images):
    labels, covered = np.repeat(np.arange(len(images)), images), 0
    for _ in range(400):
        hits = rng.random(len(labels)) < np.array(rates)[labels]
        low, high = metrics_of_hits(hits, labels)["mean_per_class_interval"]
        covered += low <= np.mean(rates) <= high
    assert covered / 400 >= 0.91  # 95 % within four deviations of 400 trials


def test_the_interval_covers_the_truth_as_often_as_it_says(rng):
    covered = 0
    for _ in range(400):
        low, high = metrics_of_hits(rng.random(300) < 0.7, np.zeros(300, int))["top_1_interval"]
        covered += low <= 0.7 <= high
    assert 0.91 <= covered / 400 <= 0.985  # 95 % within three deviations of 400 trials


@pytest.mark.parametrize(
    "scores, labels, classes, text",
    [
        (np.zeros((2, 3)), [0], None, r"scores.shape=\(2, 3\), labels.shape=\(1,\)"),
        (np.zeros(2), [0, 0], None, r"scores.shape=\(2,\)"),
        (np.zeros((2, 3)), [0, 0], [0, 1], r"classes.shape=\(2,\), scores.shape=\(2, 3\)"),
        (np.zeros((2, 3)), [0, -1], None, "2 examples, 1 of them without a label"),
        (np.zeros((0, 3)), [], None, "0 examples"),
    ],
)
def test_wrong_arguments(scores, labels, classes, text):
    with pytest.raises(ValueError, match=text):
        classification_metrics(scores, np.array(labels, int), classes)


def test_the_confusion_matrix_counts_what_is_taken_for_what():
    scores = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [-np.inf, -np.inf], [1.0, 0.0]])
    labels, classes, names = np.array([1, 3, 3, 1, 2]), np.array([1, 3]), ("a", "b", "c", "d")
    found = classification_metrics(scores, labels, classes, names)
    # Of equal scores the first wins; a row of -inf is nothing; c has no column.
    assert found["confusion"] == {
        "classes": ["b", "c", "d"],
        "counts": [[1, 0, 0], [1, 0, 0], [1, 0, 1]],
    }
    right = sum(found["confusion"]["counts"][i][i] for i in range(3))
    assert found["top_1"] == right / len(labels)


def test_many_classes_have_no_confusion_matrix():
    found = classification_metrics(np.eye(101), np.arange(101))
    assert "confusion" not in found and "confusion" in classification_metrics(
        np.eye(100), np.arange(100)
    )
