import time

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.training.input_wait import InputWait


def _slow(x):
    return tf.numpy_function(lambda x: time.sleep(0.05) or x, [x], x.dtype, stateful=True)


@pytest.mark.parametrize("slow", ["data", "training"])
def test_only_the_wait_for_data_counts(slow):
    wait = InputWait()
    batches = tf.data.Dataset.range(6)
    batches = batches.map(_slow) if slow == "data" else batches.prefetch(2)
    for _ in wait.timed(batches):
        if slow == "training":
            time.sleep(0.05)
    assert (wait.seconds > 0.25) == (slow == "data")
    assert (wait.seconds < 0.15) == (slow == "training")


@pytest.mark.parametrize("labelled", [False, True])
def test_the_batches_are_the_same(labelled, rng):
    images = rng.integers(0, 256, (6, 4, 4, 3), "uint8")
    data = (images, np.arange(6)) if labelled else images
    batches = tf.data.Dataset.from_tensor_slices(data).batch(4)
    timed = InputWait().timed(batches)
    assert timed.element_spec == batches.element_spec
    for mine, theirs in zip(timed, batches, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, mine, theirs)
