"""NumPy references, written from the papers as plain loops; they share no code with the package."""

import math

import numpy as np


def nt_xent(z1, z2, temperature, decoupled=False):
    """Algorithm 1 of arXiv 2002.05709 (decoupled: arXiv 2110.06848); one value per pair."""
    views = np.concatenate([z1, z2]).astype(np.float64)
    pairs = len(z1)

    def similarity(a, b):
        return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-30))

    def one_way(i, j):
        numerator = similarity(views[i], views[j]) / temperature
        excluded = (i, j) if decoupled else (i,)
        candidates = [
            similarity(views[i], views[k]) / temperature
            for k in range(2 * pairs)
            if k not in excluded
        ]
        largest = max(candidates)
        return largest + math.log(sum(math.exp(c - largest) for c in candidates)) - numerator

    return np.array([(one_way(i, i + pairs) + one_way(i + pairs, i)) / 2 for i in range(pairs)])


def contrastive_accuracy(z1, z2):
    """Share of all views whose nearest other view is their partner."""
    views = np.concatenate([z1, z2]).astype(np.float64)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    hits = 0
    for i in range(len(views)):
        others = [k for k in range(len(views)) if k != i]
        nearest = max(others, key=lambda k: views[i] @ views[k])
        hits += nearest == (i + len(z1)) % len(views)
    return hits / len(views)


class Lars:
    """LARS with momentum (arXiv 1708.03888) on a list of float64 arrays."""

    def __init__(self, weights, momentum, weight_decay, trust_coefficient):
        self.weights = [np.array(w, np.float64) for w in weights]
        self.velocities = [np.zeros_like(w) for w in self.weights]
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.trust_coefficient = trust_coefficient

    def step(self, gradients, learning_rate):
        for index, gradient in enumerate(gradients):
            weight, rate = self.weights[index], learning_rate
            gradient = np.array(gradient, np.float64)
            if weight.ndim >= 2:
                gradient = gradient + self.weight_decay * weight
                w_norm = math.sqrt(float((weight**2).sum()))
                g_norm = math.sqrt(float((gradient**2).sum()))
                if w_norm > 0 and g_norm > 0:
                    rate *= self.trust_coefficient * w_norm / g_norm
            self.velocities[index] = self.momentum * self.velocities[index] + rate * gradient
            self.weights[index] = weight - self.velocities[index]


def knn_ranking(train, labels, test, k, temperature):
    """Weighted kNN of arXiv 1805.01978: the classes voted for, best first, for each test row."""
    ranking = []
    for query in test:
        votes = {}
        cosines = [
            float(query @ row / (np.linalg.norm(query) * np.linalg.norm(row))) for row in train
        ]
        for index in sorted(range(len(train)), key=lambda i: -cosines[i])[:k]:
            label = int(labels[index])
            votes[label] = votes.get(label, 0.0) + math.exp(cosines[index] / temperature)
        ranking.append(sorted(sorted(votes), key=votes.get, reverse=True))
    return ranking


def knn(train, labels, test, k, temperature):
    """The first class of each `knn_ranking`."""
    return np.array([r[0] for r in knn_ranking(train, labels, test, k, temperature)])


def softmax(logits):
    """(N, C): rows of probabilities, in float64."""
    shifted = np.exp(np.float64(logits) - np.max(logits, axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def distillation(teacher_logits, student_logits, temperature, labels=None, label_weight=0.0):
    """SimCLR v2, Section 2.3: equations 2 and 3 (alpha = 1 - label_weight), image by image."""
    soft, true = [], []
    for n, (t, s) in enumerate(zip(teacher_logits, student_logits)):
        p_teacher = softmax(t[None] / temperature)[0]
        p_student = softmax(s[None] / temperature)[0]
        soft.append(-sum(p * np.log(q) for p, q in zip(p_teacher, p_student) if p > 0))
        if labels is not None and labels[n] >= 0:
            true.append(-np.log(softmax(s[None])[0, labels[n]]))
    labelled = np.mean(true) if true else 0.0
    return (1 - label_weight) * np.mean(soft) + label_weight * labelled


def _unit(vector):
    vector = np.asarray(vector, np.float64)
    return vector / math.sqrt(sum(float(x) ** 2 for x in vector))


def alignment(first, second):
    """E |x - y|^2 over positive pairs (arXiv 2005.10242, Section 4.1.1)."""
    distances = [sum(float(d) ** 2 for d in _unit(x) - _unit(y)) for x, y in zip(first, second)]
    return sum(distances) / len(distances)


def uniformity(features):
    """log E exp(-2 |x - y|^2) over pairs of different images (arXiv 2005.10242, Section 4.1.2)."""
    potentials = []
    for i in range(len(features)):
        for j in range(len(features)):
            if i != j:
                difference = _unit(features[i]) - _unit(features[j])
                potentials.append(math.exp(-2 * sum(float(d) ** 2 for d in difference)))
    return math.log(sum(potentials) / len(potentials))


def rank_me(features):
    """Equations 1 and 2 of arXiv 2210.02885."""
    values = np.linalg.svd(np.asarray(features, np.float64), compute_uv=False)
    entropy = 0.0
    for value in values:
        share = float(value) / float(sum(values)) + 1e-7
        entropy -= share * math.log(share)
    return math.exp(entropy)
