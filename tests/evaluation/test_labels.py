import numpy as np
import pytest

from simclr_keras.evaluation.labels import draw_labels_per_class


def test_draws_are_stratified_seeded_and_skip_unlabelled():
    labels = np.array([0] * 10 + [1] * 20 + [-1] * 5)
    drawn = draw_labels_per_class(labels, 3, seed=1)
    assert np.bincount(labels[drawn]).tolist() == [3, 3]
    np.testing.assert_array_equal(drawn, draw_labels_per_class(labels, 3, seed=1))
    assert drawn.tolist() != draw_labels_per_class(labels, 3, seed=2).tolist()
    with pytest.raises(ValueError, match="class 0 has. Received: per_class=11, 10 examples"):
        draw_labels_per_class(labels, 11, seed=0)
