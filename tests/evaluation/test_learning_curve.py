import numpy as np
import pytest

from simclr_keras import learning_curve
from simclr_keras.evaluation import learning_curve as module
from simclr_keras.evaluation.learning_curve import fit_ridge_classifier


def _clusters(rng, per_class, dimension, classes=4, spread=2.0):
    centres = np.random.default_rng(7).normal(size=(classes, dimension))
    labels = np.repeat(np.arange(classes), per_class)
    return centres[labels] + spread * rng.normal(size=(len(labels), dimension)), labels


# Fewer examples than dimensions, more, and equally many.
@pytest.mark.parametrize("per_class, dimension", [(3, 40), (30, 8), (5, 20)])
def test_the_penalty_is_the_one_with_least_error_on_what_is_left_out(rng, per_class, dimension):
    features, labels = _clusters(rng, per_class, dimension)
    features += 5.0  # the intercept is not penalised
    targets = np.where(labels[:, None] == np.arange(4), 1.0, -1.0)
    unit = ((features - features.mean(0)) ** 2).sum(1).mean()

    def error(penalty):  # n fits, one for each example that is left out
        total = 0.0
        for i in range(len(labels)):
            kept = np.arange(len(labels)) != i
            weights, bias = _ridge(features[kept], targets[kept], penalty * unit)
            total += ((features[i] @ weights + bias - targets[i]) ** 2).sum()
        return total

    best = min(np.logspace(-4, 4, 9), key=error)
    classifier = fit_ridge_classifier(features, labels)
    assert classifier.alpha_ == pytest.approx(best * unit, rel=1e-5)
    test = 5.0 + rng.normal(size=(10, dimension))
    weights, bias = _ridge(features, targets, best * unit)
    np.testing.assert_allclose(
        classifier.decision_function(test), test @ weights + bias, atol=1e-4
    )


def _ridge(features, targets, penalty):
    """(X'X + a I)^-1 X'Y of centred X and Y, solved as it is written."""
    means, target_means = features.mean(0), targets.mean(0)
    x, y = features - means, targets - target_means
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return weights, target_means - means @ weights


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_length_of_the_features_does_not_matter(rng, factor):
    train, (test, _) = _clusters(rng, 5, 8), _clusters(rng, 50, 8)
    expected = fit_ridge_classifier(*train).predict(test)
    scaled = fit_ridge_classifier(factor * train[0], train[1]).predict(factor * test)
    np.testing.assert_array_equal(scaled, expected)


def test_one_label_per_class_is_enough_to_begin(rng):
    features, labels = _clusters(rng, 1, 30, spread=0.0)
    noisy = features + 0.1 * rng.normal(size=features.shape)
    assert fit_ridge_classifier(features, labels).score(noisy, labels) == 1.0


def test_equal_features_are_not_divided_by_zero():
    classifier = fit_ridge_classifier(np.ones((4, 3)), [0, 0, 1, 1])
    assert np.isfinite(classifier.decision_function(np.ones((2, 3)))).all()


def test_the_features_are_left_as_they_are(rng):
    features, labels = _clusters(rng, 5, 3)
    before = features.copy()
    fit_ridge_classifier(features, labels)
    np.testing.assert_array_equal(features, before)


def test_the_curve_rises_with_the_labels(rng):
    train, test = _clusters(rng, 60, 20), _clusters(rng, 100, 20)
    rows = learning_curve(*train, *test, draws=4)
    assert [row["labels_per_class"] for row in rows] == [1, 2, 5, 10, 20, 50, 60]
    assert [row["labels"] for row in rows] == [4, 8, 20, 40, 80, 200, 240]
    assert rows[-1]["mean"] > rows[0]["mean"] + 0.2
    assert [len(row["accuracies"]) for row in rows] == [4] * 6 + [1]
    for row in rows[:-1]:
        assert row["mean"] == pytest.approx(np.mean(row["accuracies"]))
        assert row["deviation"] == pytest.approx(np.std(row["accuracies"], ddof=1))
    assert rows[-1]["deviation"] == 0.0
    assert rows[-1]["mean"] == fit_ridge_classifier(*train).score(*test)
    assert learning_curve(*train, *test, draws=4) == rows
    assert learning_curve(*train, *test, draws=4, seed=1)[0] != rows[0]


def test_draws_are_stratified_nested_and_skip_what_has_no_label(rng, monkeypatch):
    labels = np.array([0] * 6 + [2] * 30 + [-1] * 10)
    features = np.arange(46.0)[:, None]
    drawn = []

    def fit(features, labels):
        drawn.append(features[:, 0].astype(int))
        return fit_ridge_classifier(features, labels)

    monkeypatch.setattr(module, "fit_ridge_classifier", fit)
    rows = learning_curve(features, labels, features[:36], labels[:36], [2, 10], draws=3)
    few, many = drawn[:3], drawn[3:]
    for a, b in zip(few, many):
        assert np.bincount(labels[a]).tolist() == [2, 0, 2]
        assert np.bincount(labels[b]).tolist() == [6, 0, 10]  # all that class 0 has
        assert set(a) < set(b)
    assert not np.array_equal(few[0], few[1])
    assert [row["labels"] for row in rows] == [4, 16]


def test_the_numbers_of_labels_end_where_linear_evaluation_takes_over(rng):
    labels = np.arange(30_000) % 3
    features = np.eye(3)[labels]
    rows = learning_curve(features, labels, features[:3], labels[:3], draws=1)
    assert rows[-1]["labels_per_class"] == 5000 and rows[-1]["labels"] == 15_000


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: fit_ridge_classifier(np.eye(2), [0, -1]), "1 labels of -1"),
        (
            lambda: fit_ridge_classifier(np.eye(2), [1, 1]),
            "at least two classes. Received: 1 in",
        ),
        (lambda: learning_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], draws=0), "draws=0"),
        (lambda: learning_curve(np.eye(2), [0, 1], np.eye(2), [0, 1], [0]), r"Received: \[0\]"),
        (lambda: learning_curve(np.eye(2), [-1, -1], np.eye(2), [0, 1]), "two classes"),
    ],
)
def test_wrong_arguments(call, text):
    with pytest.raises(ValueError, match=text):
        call()
