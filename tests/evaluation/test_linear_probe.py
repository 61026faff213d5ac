from types import SimpleNamespace

import numpy as np
import pytest

from simclr_keras import LinearProbe


def _blobs(rng, per_class, spread=0.3):
    centres = np.array([[0, 0, 3], [0, 3, 0], [3, 0, 0]])
    labels = np.repeat(np.arange(3), per_class)
    return centres[labels] + spread * rng.normal(size=(len(labels), 3)), labels


def test_probe_separates_what_is_separable(rng):
    probe = LinearProbe().fit(*_blobs(rng, 40))
    assert probe.accuracy(*_blobs(rng, 40)) == 1.0
    assert probe.strength_source == "validation" and probe.strength_ in probe.strengths
    assert probe.classes_.tolist() == [0, 1, 2]


def test_probe_chooses_a_strength_that_generalises(rng):
    # 60 noise dimensions for 24 examples: the weakest regularisation of these is the worst.
    features, labels = _blobs(rng, 8, spread=1.0)
    test, test_labels = _blobs(rng, 200, spread=1.0)
    noise = [5 * rng.normal(size=(len(x), 60)) for x in (features, test)]
    features, test = np.hstack([features, noise[0]]), np.hstack([test, noise[1]])
    chosen = LinearProbe(strengths=(1e-3, 1e3)).fit(features, labels)
    scores = {
        s: LinearProbe(strengths=(s,)).fit(features, labels).accuracy(test, test_labels)
        for s in (1e-3, 1e3)
    }
    assert chosen.accuracy(test, test_labels) == scores[chosen.strength_]


@pytest.mark.parametrize(
    "accuracies, chosen, last",
    [
        # Some 134 of 200 are held out in one of five parts: a standard error of 0.6 is 0.04.
        ({0.01: 0.5, 0.1: 0.6, 1.0: 0.55, 10.0: 0.9}, 0.1, 1.0),
        ({0.01: 0.5, 0.1: 0.6, 1.0: 0.58, 10.0: 0.9}, 10.0, 10.0),
        ({0.01: 0.6, 0.1: 0.6, 1.0: 0.6, 10.0: 0.6}, 0.01, 10.0),
    ],
    ids=["clearly worse", "worse by chance", "all the same"],
)
def test_probe_tries_no_strength_beyond_one_that_is_clearly_worse(
    monkeypatch, rng, accuracies, chosen, last
):
    tried = []

    def fitted(self, features, labels, strength):
        tried.append(strength)
        return SimpleNamespace(score=lambda *held: accuracies[strength], classes_=None)

    monkeypatch.setattr(LinearProbe, "_fitted", fitted)
    features, labels = rng.normal(size=(200, 2)), np.arange(200) % 2
    probe = LinearProbe(strengths=(10.0, 1.0, 0.1, 0.01)).fit(features, labels)
    assert probe.strength_ == chosen and max(tried) == last
    assert tried[-1] == chosen  # the last fit is that of all features


@pytest.mark.parametrize("count, threads", [(60, {1}), (10_002, None)])
def test_few_labels_take_one_thread(monkeypatch, rng, count, threads):
    from threadpoolctl import threadpool_info

    found = []
    monkeypatch.setattr(
        LinearProbe,
        "_fitted",
        lambda *_: (
            found.append({pool["num_threads"] for pool in threadpool_info()})
            or SimpleNamespace(classes_=None)
        ),
    )
    usual = {pool["num_threads"] for pool in threadpool_info()}
    LinearProbe(strengths=(1.0,)).fit(*_blobs(rng, count // 3))
    assert found == [threads or usual]


@pytest.mark.parametrize("count, parts", [(100, 5), (1500, 4), (5000, 1), (20_000, 1)])
def test_few_labels_choose_the_strength_in_several_parts(monkeypatch, rng, count, parts):
    """On the first part the second strength is the best, on average the first is."""
    held_out = {0.1: [], 1.0: []}

    def fitted(self, features, labels, strength):
        def score(held, _):
            held_out[strength].append(held[:, 0])
            return 0.6 if strength == 0.1 else (0.9 if len(held_out[strength]) == 1 else 0.4)

        return SimpleNamespace(score=score, classes_=None)

    monkeypatch.setattr(LinearProbe, "_fitted", fitted)
    features, labels = np.arange(count)[:, None], np.arange(count) % 2
    probe = LinearProbe(strengths=(0.1, 1.0)).fit(features, labels)
    assert probe.strength_ == (0.1 if parts > 1 else 1.0)
    for found in held_out.values():
        assert [len(held) for held in found] == parts * [count // 5]
    assert all(np.array_equal(a, b) for a, b in zip(*held_out.values()))
    assert len({tuple(held) for held in held_out[0.1]}) == parts


def test_probe_with_one_label_per_class_uses_the_default(rng):
    probe = LinearProbe().fit(*_blobs(rng, 1))
    assert (probe.strength_, probe.strength_source) == (1.0, "default")


def test_probe_checks_its_labels():
    with pytest.raises(ValueError, match="1 labels of -1"):
        LinearProbe().fit(np.eye(2), [0, -1])
    with pytest.raises(ValueError, match="at least two classes. Received: 1 in 2"):
        LinearProbe().fit(np.eye(2), [1, 1])


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_have_a_column_for_each_class(rng, classes):
    features, labels = _blobs(rng, 10)
    features, labels = features[labels < classes], 2 * labels[labels < classes]
    probe = LinearProbe().fit(features, labels)
    scores = probe.scores(features)
    assert scores.shape == (10 * classes, classes)
    np.testing.assert_array_equal(
        probe.classes_[scores.argmax(axis=1)], probe.predict(features)
    )


@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("classes", [2, 3])
def test_as_a_dense_layer_it_has_the_same_probabilities(rng, classes, standardise):
    features, labels = _blobs(rng, 20, spread=1.5)
    features, labels = 5 + 3 * features, 2 * (labels % classes)  # labels need not be 0, 1, 2
    probe = LinearProbe(strengths=(0.5,), standardise=standardise).fit(features, labels)
    kernel, bias = probe.dense_weights()
    assert kernel.shape == (3, classes) and bias.shape == (classes,)
    logits = features @ kernel + bias
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = probe._classifier.predict_proba(features)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    of_label = probabilities[np.arange(60), np.searchsorted(probe.classes_, labels)]
    assert probe.loss(features, labels) == pytest.approx(-np.log(of_label).mean(), rel=1e-4)
