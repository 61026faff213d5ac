import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.views.uniforms import threefry_2x32, uniforms


def _words(*values):
    return tuple(tf.constant([v], tf.uint32) for v in values)


@pytest.mark.parametrize(
    "counter, key, expected",
    [  # Random123's known answers for threefry2x32 with 20 rounds
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_known_answers(counter, key, expected):
    result = threefry_2x32(_words(*key), _words(*counter))
    assert tuple(int(word[0]) for word in result) == expected


def _draw(seed=(1, 2), positions=range(64), view=0, count=32):
    return uniforms(
        tf.constant(seed, tf.int64), tf.constant(list(positions), tf.int64), view, count
    ).numpy()


def test_equal_eager_traced_in_a_dataset_and_compiled():
    def draw(seed):
        return uniforms(seed, tf.range(8, dtype=tf.int64), 0, 5)

    seed = tf.constant([3, 4], tf.int64)
    eager = draw(seed).numpy()
    dataset = tf.data.Dataset.from_tensors(seed).map(draw)
    for other in (
        tf.function(draw)(seed),
        tf.function(draw, jit_compile=True)(seed),
        next(iter(dataset)),
    ):
        np.testing.assert_array_equal(other, eager)


def test_uniform_and_independent():
    draws = _draw(positions=range(20_000), count=8)
    assert draws.min() >= 0 and draws.max() < 1
    # Kolmogorov-Smirnov distance of 20,000 draws: 1.63 / sqrt(n) = 0.0115 at 1 %.
    for column in draws.T:
        rank = (np.arange(len(column)) + 0.5) / len(column)
        assert np.abs(np.sort(column) - rank).max() < 0.0115
    correlation = np.corrcoef(draws.T) - np.eye(8)
    assert np.abs(correlation).max() < 4 / np.sqrt(20_000)


@pytest.mark.parametrize("other", [{"seed": (2, 2)}, {"seed": (1, 3)}, {"view": 1}])
def test_every_part_of_the_key_counts(other):
    assert (_draw() != _draw(**other)).mean() > 0.99


def test_rows_belong_to_positions():
    np.testing.assert_array_equal(_draw(positions=range(8, 16)), _draw(positions=range(16))[8:])


def test_large_seeds_are_taken_modulo_32_bits():
    np.testing.assert_array_equal(_draw(seed=(2**32 + 1, -1)), _draw(seed=(1, 2**32 - 1)))
