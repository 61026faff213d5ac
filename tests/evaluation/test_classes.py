import numpy as np
import pytest

from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError
from simclr_keras.evaluation.classes import match_classes


def test_matching_by_hand():
    def source(names, labels):
        return ArraySource(np.zeros((len(labels), 1, 1, 3)), labels, names)

    train = source(("a", "b", "c"), [2, 0, 2])  # no image of b
    assert match_classes(train, source(("c", "a"), [1, 0, 0])).tolist() == [2, 0]
    assert match_classes(train, source(("c", "x", "a"), [2])).tolist() == [-1, -1, 0]
    with pytest.raises(InputError, match="without training images in .*: b, x."):
        match_classes(train, source(("a", "b", "x"), [0, 1, 2]))
    with pytest.raises(InputError, match=r"labelled images of 1 class\(es\)"):
        match_classes(source(("a", "b"), [1, 1]), source(("b",), [0]))
    numbered = source((), [0, 3])
    assert match_classes(numbered, source((), [3])).tolist() == [-1, -1, -1, 3]
