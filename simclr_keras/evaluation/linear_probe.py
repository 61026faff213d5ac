"""`LinearProbe`: linear evaluation of frozen features."""

import warnings

import numpy as np

from ..seeds import check_seed, seed_of_32_bits

_DEFAULT_STRENGTH = 1.0
# Predictions that choose C: a single validation part of few labels leaves it to chance.
_PREDICTIONS, _MOST_PARTS = 1_000, 5
# Below so many labels, one thread: several wait for each other in loops, on busy cores for seconds.
_MANY = 10_000


class LinearProbe:
    """Multinomial logistic regression on features, fitted by L-BFGS.

    The inverse L2 strength C is chosen on a stratified validation part of the training
    features, never on test features; the probe is then refitted on all training features. If
    that part is below 1,000, it is drawn again and again, up to five times, until 1,000
    predictions have been made, and C is chosen by the mean. The candidates are tried from the
    smallest up, until one is worse than the best by more than a standard error.

    Args:
        strengths: Candidates for C, each positive. A larger C regularises less.
        validation_fraction: Share of the training features held out to choose C, in (0, 1).
        selection_size: Most training features used to choose C (enough even for a million).
        max_iterations: Maximum number of L-BFGS iterations.
        standardise: Scale every feature to mean 0 and standard deviation 1 over the training
            features first. Turn it off for a handful of labels, too few to estimate either.
        seed: Determines the validation part.

    Attributes:
        strength_: The chosen C.
        strength_source: `"validation"`, `"given"` for a single candidate, or `"default"` when a
            class has too few examples to hold any out.
        classes_: The labels seen in training.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> features = np.array([[0.0], [0.1], [1.0], [1.1]])
        >>> probe = sk.LinearProbe().fit(features, np.array([0, 0, 1, 1]))
        >>> probe.accuracy(np.array([[0.2], [0.9]]), np.array([0, 1]))
        1.0

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.8 (L-BFGS, L2 strength
        chosen on a validation set).
    """

    def __init__(
        self,
        strengths: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0),
        validation_fraction: float = 0.2,
        selection_size: int = 50_000,
        max_iterations: int = 300,
        standardise: bool = True,
        seed: int = 0,
    ):
        if not strengths or min(strengths) <= 0:
            raise ValueError(f"`strengths` must be positive. Received: strengths={strengths}")
        if not 0 < validation_fraction < 1:
            raise ValueError(
                "`validation_fraction` must be in (0, 1). Received: "
                f"validation_fraction={validation_fraction}"
            )
        self.strengths = tuple(strengths)
        self.validation_fraction = validation_fraction
        self.selection_size = selection_size
        self.max_iterations = max_iterations
        self.standardise = standardise
        self.seed = check_seed(seed)

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "LinearProbe":
        """Fits the probe.

        Args:
            features: floating `(N, D)`.
            labels: Integers `(N,)`, 0 or more.

        Returns:
            The probe itself.

        Raises:
            ValueError: If a label is missing or there is only one class.
        """
        from threadpoolctl import threadpool_limits

        features, labels = np.asarray(features, np.float32), np.asarray(labels)
        check_labels(labels)
        with threadpool_limits(1 if len(labels) < _MANY else None):
            self.strength_, self.strength_source = self._choose(features, labels)
            self._classifier = self._fitted(features, labels, self.strength_)
        self.classes_ = self._classifier.classes_
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Logits `(N, C)` of features `(N, D)`, a column for each of `classes_`."""
        scores = self._classifier.decision_function(np.asarray(features, np.float32))
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Labels `(N,)` of features `(N, D)`."""
        return self._classifier.predict(np.asarray(features, np.float32))

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of features `(N, D)` whose label `(N,)` is predicted."""
        return float((self.predict(features) == np.asarray(labels)).mean())

    def loss(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Mean cross-entropy of features `(N, D)` with labels `(N,)` among `classes_`."""
        from sklearn.metrics import log_loss

        probabilities = self._classifier.predict_proba(np.asarray(features, np.float32))
        return float(log_loss(labels, probabilities, labels=self.classes_))

    def dense_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The probe as a dense layer on features: softmax of its logits is the probability.

        Returns:
            A kernel `(D, C)` and a bias `(C,)`, a column for each of `classes_`.
        """
        regression = self._classifier[-1]
        kernel, bias = regression.coef_.T, regression.intercept_
        if len(self.classes_) == 2:  # scikit-learn has the logit of the second only
            kernel, bias = (np.concatenate([0 * w, w], axis=-1) for w in (kernel, bias))
        if self.standardise:
            scaler = self._classifier[0]
            kernel = kernel / scaler.scale_[:, None]
            bias = bias - scaler.mean_ @ kernel
        return kernel, bias

    def _choose(self, features, labels) -> tuple[float, str]:
        from sklearn.model_selection import StratifiedShuffleSplit, train_test_split

        counts = np.unique(labels, return_counts=True)[1]
        held_out = int(self.validation_fraction * len(labels))
        if len(self.strengths) == 1:
            return self.strengths[0], "given"
        if counts.min() < 2 or held_out < len(counts):
            return _DEFAULT_STRENGTH, "default"
        if len(labels) > self.selection_size:
            chosen, _ = train_test_split(
                np.arange(len(labels)),
                train_size=self.selection_size,
                stratify=labels,
                random_state=seed_of_32_bits(self.seed),
            )
            features, labels = features[chosen], labels[chosen]
        splits = StratifiedShuffleSplit(
            n_splits=int(np.ceil(min(_MOST_PARTS, _PREDICTIONS / held_out))),
            test_size=self.validation_fraction,
            random_state=seed_of_32_bits(self.seed),
        )
        parts = list(splits.split(features, labels))
        tested = len(np.unique(np.concatenate([held for _, held in parts])))
        best, strength = 0.0, self.strengths[0]
        # The smallest first: less regularisation takes many more iterations.
        for candidate in sorted(self.strengths):
            accuracy = np.mean(
                [
                    self._fitted(features[fitted], labels[fitted], candidate).score(
                        features[held], labels[held]
                    )
                    for fitted, held in parts
                ]
            )
            if accuracy > best:
                best, strength = accuracy, candidate
            elif accuracy < best - (best * (1 - best) / tested) ** 0.5:
                break
        return strength, "validation"

    def _fitted(self, features, labels, strength: float):
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        classifier = make_pipeline(
            StandardScaler() if self.standardise else "passthrough",
            LogisticRegression(C=strength, max_iter=self.max_iterations),
        )
        with warnings.catch_warnings():
            # Stopping at `max_iterations` is early stopping; that accuracy is the one reported.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return classifier.fit(features, labels)


def check_labels(labels: np.ndarray) -> None:
    """Raises a `ValueError` if no classifier can be fitted on integer labels `(N,)`.

    Raises:
        ValueError: If a label is missing or there is only one class.
    """
    if (labels < 0).any():
        raise ValueError(
            "A classifier needs a label for every example; remove those without one. Received: "
            f"{int((labels < 0).sum())} labels of -1"
        )
    if len(np.unique(labels)) < 2:
        raise ValueError(
            "A classifier needs at least two classes. Received: "
            f"{len(np.unique(labels))} in {len(labels)} labels"
        )
