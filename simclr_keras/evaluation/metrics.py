"""How good are predictions: accuracies, per class too, with the interval that chance leaves."""

import numpy as np

from ..seeds import generator

_CONFIDENCE = 0.95
_RESAMPLES = 2000
_TOP = 5


def is_among_best(
    scores: np.ndarray, labels: np.ndarray, classes: np.ndarray, k: int
) -> np.ndarray:
    """Whether the k classes with the highest scores include the right one.

    Of equal scores the first column wins, as in `argmax` (scikit-learn's
    `top_k_accuracy_score` prefers the last), and a class with a score of -inf is never included.

    Args:
        scores: floating `(M, C)`; larger means more likely.
        labels: Integers `(M,)`; one that `classes` lacks is a miss.
        classes: Integers `(C,)`, sorted: the label of each column.
        k: At least 1.

    Returns:
        bool `(M,)`.
    """
    columns = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    own = np.take_along_axis(scores, columns[:, None], axis=1)  # (M, 1)
    first = np.arange(len(classes)) < columns[:, None]
    ahead = ((scores > own) | ((scores == own) & first)).sum(axis=1)
    return (ahead < k) & (classes[columns] == labels) & (own[:, 0] > -np.inf)


def classification_metrics(
    scores: np.ndarray,
    labels: np.ndarray,
    classes: np.ndarray | None = None,
    class_names: tuple[str, ...] = (),
    seed: int = 0,
) -> dict:
    """Top-1, top-5 and per-class accuracy of a classifier, with 95 % intervals.

    With n_c test examples of class c and h_c of them right, M in all:

        top_1 = sum_c h_c / M,    mean_per_class = mean_c (h_c / n_c)

    The intervals are percentiles of the bootstrap over test examples: of M drawn with
    replacement. The number of hits is then binomial (M, top_1), whose quantiles are taken as they
    are; for the mean over classes, the counts (h_c, n_c - h_c) are multinomial and drawn 2,000
    times. Both say how far chance in the choice of test images goes, not in training.

    Args:
        scores: floating `(M, C)`: logits, probabilities or votes.
        labels: Integers `(M,)`, 0 or more; one that no column stands for is a miss.
        classes: Integers `(C,)`, sorted: the label of each column. Defaults to 0..C-1.
        class_names: The name of each label. Defaults to the labels themselves.
        seed: Decides the multinomial draws.

    Returns:
        `top_1`, `top_1_interval` (low, high), `top_5` (with 6 columns or more: of five classes
        it would always be 1), `mean_per_class`, `mean_per_class_interval`, and `per_class`: for
        each class with test examples its name with `accuracy` and `images`.

    Raises:
        ValueError: If there are no test examples, a label is missing or shapes do not fit.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
        >>> metrics = sk.classification_metrics(scores, [0, 1, 1, 1], class_names=("cat", "dog"))
        >>> metrics["top_1"], metrics["top_1_interval"]
        (0.75, [0.25, 1.0])
        >>> metrics["per_class"]["cat"]
        {'accuracy': 1.0, 'images': 1}

    Reference:
        Efron & Tibshirani 1993, "An Introduction to the Bootstrap", Chapter 13 (percentile
        intervals); Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.3.
    """
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            "`scores` must have the shape (M, C) and `labels` (M,). Received: "
            f"scores.shape={scores.shape}, labels.shape={labels.shape}"
        )
    classes = np.arange(scores.shape[1]) if classes is None else np.asarray(classes)
    if classes.shape != scores.shape[1:]:
        raise ValueError(
            "`classes` needs a label for each column of `scores`. Received: "
            f"classes.shape={classes.shape}, scores.shape={scores.shape}"
        )
    top_5 = is_among_best(scores, labels, classes, _TOP) if len(classes) > _TOP else None
    return metrics_of_hits(
        is_among_best(scores, labels, classes, 1), labels, class_names, top_5, seed
    )


def metrics_of_hits(
    hits: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...] = (),
    top_5_hits: np.ndarray | None = None,
    seed: int = 0,
) -> dict:
    """What `classification_metrics` returns, from which examples were right: bool `(M,)`."""
    from scipy import stats

    hits, labels = np.asarray(hits), np.asarray(labels)
    if not len(labels) or (labels < 0).any():
        raise ValueError(
            "Accuracy needs test examples, and a label for each. Received: "
            f"{len(labels)} examples, {int((labels < 0).sum())} of them without a label"
        )
    present, place = np.unique(labels, return_inverse=True)
    images = np.bincount(place)
    right = np.bincount(place, weights=hits).astype(int)
    tails = (1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2
    accuracy = float(hits.mean())
    result = {
        "top_1": accuracy,
        "top_1_interval": (stats.binom.ppf(tails, len(hits), accuracy) / len(hits)).tolist(),
        "mean_per_class": float((right / images).mean()),
        "mean_per_class_interval": _interval_per_class(right, images, tails, seed),
        "per_class": {
            class_names[label] if class_names else str(label): {
                "accuracy": float(r / n),
                "images": int(n),
            }
            for label, r, n in zip(present.tolist(), right, images)
        },
    }
    if top_5_hits is not None:
        result["top_5"] = float(np.mean(top_5_hits))
    return result


def _interval_per_class(right, images, tails, seed: int) -> list[float]:
    cells = np.concatenate([right, images - right]) / images.sum()
    drawn = generator(seed).multinomial(images.sum(), cells, size=_RESAMPLES)
    right, wrong = np.split(drawn, 2, axis=1)  # (resamples, classes) each
    drawn_images = right + wrong
    rates = np.divide(right, drawn_images, where=drawn_images > 0, out=np.zeros(right.shape))
    # A class that a resample lacks has no accuracy there.
    means = rates.sum(axis=1) / (drawn_images > 0).sum(axis=1)
    return np.quantile(means, tails).tolist()
