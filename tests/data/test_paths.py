import numpy as np
import tensorflow as tf

from simclr_keras.data.paths import PathList

NAMES = [
    "a.jpg",
    "",
    "é/b.png",
    "\udcff.jpg",
    *(f"{k:050}/{'x' * (k % 90)}.jpg" for k in range(200)),
]


def test_paths_are_those_that_were_given():
    paths = PathList.of(NAMES)
    assert list(paths) == NAMES and len(paths) == len(NAMES) and paths[-1] == NAMES[-1]
    assert list(paths[1:3]) == NAMES[1:3] and PathList.of(paths) is paths
    taken = paths.take(np.array([3, 0, 7]))
    assert list(taken) == [NAMES[k] for k in (3, 0, 7)]
    assert list(taken.take(np.array([1]))) == ["a.jpg"] and not list(PathList.of([]))


def test_the_same_paths_in_a_pipeline():  # some of them lie in two blocks
    paths = PathList.of(NAMES).take(np.arange(len(NAMES))[::-1])
    found = tf.data.Dataset.range(len(NAMES)).map(paths.read).as_numpy_iterator()
    assert [name.decode("utf-8", "surrogateescape") for name in found] == NAMES[::-1]
