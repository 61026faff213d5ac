"""Classification metrics: overall and per-class accuracy, with confidence intervals."""

import typing

import numpy as np

_CONFIDENCE = 0.95
_TOP = 5
_CONFUSED = 100  # most classes with a confusion matrix: it grows with their square


def is_among_best(
    scores: np.ndarray, labels: np.ndarray, classes: np.ndarray, k: int
) -> np.ndarray:
    """Whether the k classes with the highest scores include the true one.

    Ties go to the first column, as in `argmax` (scikit-learn's `top_k_accuracy_score` prefers
    the last). A class with a score of -inf is never included.

    Args:
        scores: floating `(M, C)`; larger means more likely.
        labels: Integers `(M,)`; a label that is not in `classes` is a miss.
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
) -> dict[str, typing.Any]:
    """Top-1, top-5 and per-class accuracy of a classifier, with 95 % intervals.

    With n_c test examples of class c, h_c of them correct, and M examples in total:

        top_1 = sum_c h_c / M,    mean_per_class = mean_c (h_c / n_c)

    The intervals are Wilson's, whose width is positive even if every example is correct. The
    mean over C classes is a weighted accuracy. Its effective sample size is
    C^2 / sum_c (1 / n_c) if all classes are equally hard (Kish) and smaller if small classes
    vary more; its interval is Wilson's for that size. Both intervals cover chance in the choice
    of test images, not in training.

    Args:
        scores: floating `(M, C)`: logits, probabilities or votes.
        labels: Integers `(M,)`, 0 or more; a label without a column is a miss.
        classes: Integers `(C,)`, sorted: the label of each column. Defaults to 0..C-1.
        class_names: The name of each label. Defaults to the labels themselves.

    Returns:
        `top_1`, `top_1_interval` (low, high), `top_5` (with 6 or more columns; with five it
        would always be 1), `mean_per_class`, `mean_per_class_interval`, `per_class`, which
        maps the name of each class with test examples to its `accuracy` and number of `images`,
        and with up to 100 columns `confusion`: the names of `classes`, and in `counts` a row
        for each true class with the number of its examples taken for each class.

    Raises:
        ValueError: If there are no test examples, a label is missing or shapes do not match.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
        >>> metrics = sk.classification_metrics(scores, [0, 1, 1, 1], class_names=("cat", "dog"))
        >>> metrics["top_1"], [round(end, 4) for end in metrics["top_1_interval"]]
        (0.75, [0.3006, 0.9544])
        >>> metrics["per_class"]["cat"]
        {'accuracy': 1.0, 'images': 1}

    Reference:
        Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference";
        Kish 1965, "Survey Sampling"; Chen et al. 2020, https://arxiv.org/abs/2002.05709,
        Section 2.3.
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
    result = metrics_of_hits(
        is_among_best(scores, labels, classes, 1), labels, class_names, top_5
    )
    if len(classes) <= _CONFUSED:
        result["confusion"] = _confusion(scores, labels, classes, class_names)
    return result


def _confusion(scores, labels, classes, class_names) -> dict[str, list]:
    """The class that each example is taken for; a row of -inf for none."""
    rows = np.union1d(classes, labels)
    counts = np.zeros((len(rows), len(rows)), int)
    best = scores.argmax(axis=1)  # the first of equal ones, as in `is_among_best`
    known = scores[np.arange(len(labels)), best] > -np.inf
    true, predicted = (np.searchsorted(rows, x[known]) for x in (labels, classes[best]))
    np.add.at(counts, (true, predicted), 1)
    names = [class_names[row] if class_names else str(row) for row in rows]
    return {"classes": names, "counts": counts.tolist()}


def metrics_of_hits(
    hits: np.ndarray,
    labels: np.ndarray,
    class_names: tuple[str, ...] = (),
    top_5_hits: np.ndarray | None = None,
) -> dict:
    """The result of `classification_metrics` from hits, bool `(M,)`: True if correct."""
    hits, labels = np.asarray(hits), np.asarray(labels)
    if not len(labels) or (labels < 0).any():
        raise ValueError(
            "Accuracy needs test examples, and a label for each. Received: "
            f"{len(labels)} examples, {int((labels < 0).sum())} of them without a label"
        )
    present, place = np.unique(labels, return_inverse=True)
    images = np.bincount(place)
    right = np.bincount(place, weights=hits).astype(int)
    accuracy = float(hits.mean())
    result = {
        "top_1": accuracy,
        "top_1_interval": _wilson(accuracy, len(hits)),
        "mean_per_class": float((right / images).mean()),
        "mean_per_class_interval": _interval_per_class(right, images),
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


def _wilson(rate: float, count: float) -> list[float]:
    """Wilson's interval for a rate over `count` examples, which need not be an integer.

    For integers it is `scipy.stats.binomtest(hits, count).proportion_ci(method="wilson")`.
    """
    square = _deviations() ** 2
    centre = (count * rate + square / 2) / (count + square)
    half = np.sqrt(square * (count * rate * (1 - rate) + square / 4)) / (count + square)
    # Rounding must not move the low end above 0 for 0 of M, or the high end below 1 for M of M.
    return [
        max(0.0, float(min(centre - half, rate))),
        min(1.0, float(max(centre + half, rate))),
    ]


def _interval_per_class(right: np.ndarray, images: np.ndarray) -> list[float]:
    """Wilson's interval for the mean over classes, at its effective sample size."""
    square, mean = _deviations() ** 2, float((right / images).mean())
    if_equally_hard = len(images) ** 2 / (1 / images).sum()
    # Shrink each class towards the mean: a class with 3 of 3 correct varies too.
    rate = (if_equally_hard * mean + square / 2) / (if_equally_hard + square)
    rates = (right + square * rate) / (images + square)
    variance = (rates * (1 - rates) / images).sum() / len(images) ** 2
    return _wilson(mean, min(if_equally_hard, rate * (1 - rate) / variance))


def _deviations() -> float:
    """The two-sided z-score of a normal variable at `_CONFIDENCE`."""
    from scipy import stats

    return float(stats.norm.ppf((1 + _CONFIDENCE) / 2))
