"""`groups_of`: things that are alike, from pairs of them."""

import numpy as np


def groups_of(pairs: np.ndarray, count: int) -> list[np.ndarray]:
    """The sorted groups of two or more of `count` things that are connected by pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, tuple(pairs.T)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    members = np.unique(pairs)  # most things are in no pair
    order = members[np.argsort(group[members], kind="stable")]
    found = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((each for each in found if len(each) > 1), key=lambda each: each[0])
