"""Seeds: each 64-bit integer is a seed of its own, hashed for libraries that take 32 bits."""

import numpy as np

from .errors import InputError

_LEAST, _GREATEST = -(2**63), 2**63 - 1


def is_seed(seed: int) -> bool:
    """Whether an integer fits in a signed 64-bit integer."""
    return _LEAST <= seed <= _GREATEST


def check_seed(seed: int) -> int:
    """Returns the seed, or raises an `InputError` if it is not a 64-bit integer.

    Raises:
        InputError: If it is not a 64-bit integer.
    """
    if not isinstance(seed, (int, np.integer)) or not is_seed(seed):
        raise InputError(
            f"`seed` must be a 64-bit integer, {_LEAST} to {_GREATEST}. Received: seed={seed}"
        )
    return int(seed)


def seed_of_32_bits(seed: int) -> int:
    """A seed for Keras and scikit-learn, which take 0 to 2^32 - 1.

    Seeds in that range are unchanged; others are hashed.
    """
    if 0 <= check_seed(seed) < 2**32:
        return seed
    return int(np.random.SeedSequence(seed % 2**64).generate_state(1)[0])


def generator(*seeds: int) -> np.random.Generator:
    """A NumPy generator seeded with one or more seeds, which may be negative."""
    return np.random.default_rng([check_seed(seed) % 2**64 for seed in seeds])
