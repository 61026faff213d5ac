import re

import numpy as np
import pytest

from simclr_keras import LinearProbe, PretrainConfig, SGDLinearProbe, SimCLR
from simclr_keras.data.order import epoch_order
from simclr_keras.errors import InputError
from simclr_keras.seeds import check_seed, generator, seed_of_32_bits

SEEDS = [0, 1, -1, 2**32 - 1, 2**32, 2**33, 2**63 - 1, -(2**63)]


def test_seeds_that_libraries_take_stay_as_they_are():
    assert [seed_of_32_bits(seed) for seed in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]
    np.testing.assert_array_equal(generator(7).random(3), np.random.default_rng(7).random(3))


def test_every_seed_is_one_of_its_own():
    words = [seed_of_32_bits(seed) for seed in SEEDS]
    assert len(set(words)) == len(SEEDS) and all(0 <= word < 2**32 for word in words)
    assert len({float(generator(seed).random()) for seed in SEEDS}) == len(SEEDS)
    assert len({float(generator(seed, 1).random()) for seed in SEEDS}) == len(SEEDS)
    orders = {tuple(epoch_order(0, length=50, seed=seed).numpy()) for seed in SEEDS}
    assert len(orders) == len(SEEDS)


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1, 0.5])
def test_other_seeds_are_refused(tiny_encoder, seed):
    message = re.escape(f"Received: seed={seed}")
    for make in (
        check_seed,
        lambda seed: SimCLR(tiny_encoder, None, None, seed=seed),
        lambda seed: LinearProbe(seed=seed),
        lambda seed: SGDLinearProbe(tiny_encoder, 16, seed=seed),
    ):
        with pytest.raises(InputError, match=message):
            make(seed)


def test_a_run_says_so_before_it_begins():
    with pytest.raises(InputError, match="`seed` must be a 64-bit integer"):
        PretrainConfig(dataset="digits", run_dir="run", seed=2**63)
