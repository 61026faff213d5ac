"""Small, stratified, seeded subsets of labels."""

import numpy as np


def draw_labels_per_class(labels: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Draws the same number of examples of each class.

    Args:
        labels: Integers `(N,)`; -1 means none and is never drawn.
        per_class: How many of each class, at least 1.
        seed: Decides the draw.

    Returns:
        int64 indices, sorted, `per_class` times the number of classes.

    Raises:
        ValueError: If a class has fewer examples.
    """
    labels = np.asarray(labels)
    draw = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        if len(members) < per_class:
            raise ValueError(
                f"`per_class` is more than class {label} has. Received: "
                f"per_class={per_class}, {len(members)} examples"
            )
        chosen.append(draw.choice(members, per_class, replace=False))
    return np.sort(np.concatenate(chosen))
