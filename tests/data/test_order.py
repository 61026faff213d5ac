import numpy as np
import pytest

from simclr_keras.data.order import epoch_order, step_indices


def _steps(**options):
    return [(int(step), index.numpy()) for step, index in step_indices(**options)]


def test_is_the_same_on_every_version_of_tensorflow():
    # Numbers of TensorFlow 2.15 and 2.21: runs must be continued in the same order.
    assert epoch_order(0, length=12, seed=7).numpy().tolist() == [
        2,
        9,
        10,
        5,
        8,
        4,
        7,
        6,
        11,
        3,
        1,
        0,
    ]
    assert epoch_order(1, length=12, seed=7).numpy().tolist() == [
        0,
        2,
        7,
        11,
        8,
        4,
        6,
        1,
        9,
        3,
        5,
        10,
    ]


@pytest.mark.parametrize("length", [1, 2, 12, 1000, 65537])
def test_every_epoch_is_a_permutation(length):
    for epoch in range(3):
        order = epoch_order(epoch, length=length, seed=0).numpy()
        np.testing.assert_array_equal(np.sort(order), np.arange(length))


def test_epochs_and_seeds_differ():
    keys = [(seed, epoch) for seed in (0, 1, 256, -1, 2**40) for epoch in range(300)]
    orders = {tuple(epoch_order(e, length=50, seed=s).numpy()) for s, e in keys}
    assert len(orders) == len(keys)


def test_small_permutations_are_equally_likely():
    orders = [tuple(epoch_order(e, length=3, seed=0).numpy()) for e in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    # 6 permutations, 200 times each on average, standard deviation 13.
    assert len(counts) == 6 and min(counts) > 150 and max(counts) < 250


def test_an_epoch_takes_every_example_at_most_once():
    steps = _steps(length=11, batch_size=3, seed=5, first_step=0, num_steps=7)
    assert [step for step, _ in steps] == list(range(7))
    first = np.concatenate([index for _, index in steps[:3]])
    second = np.concatenate([index for _, index in steps[3:6]])
    for epoch, drawn in enumerate((first, second)):
        order = epoch_order(epoch, length=11, seed=5).numpy()
        np.testing.assert_array_equal(drawn, order[:9])
    assert set(first) != set(second)  # another remainder is left out


@pytest.mark.parametrize("first_step", [0, 1, 3, 4, 8, 9, 12])
def test_continues_where_it_left_off(first_step):
    options = dict(length=11, batch_size=3, seed=5, num_steps=9)
    whole = _steps(first_step=0, **options)[first_step:]
    rest = _steps(first_step=first_step, **options)
    assert [step for step, _ in rest] == [step for step, _ in whole]
    for (_, got), (_, expected) in zip(rest, whole, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_batch_may_be_the_whole_dataset():
    steps = _steps(length=2, batch_size=2, seed=0, first_step=0, num_steps=20)
    assert {tuple(index) for _, index in steps} == {(0, 1), (1, 0)}
