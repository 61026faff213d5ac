"""Seeds: every integer of 64 bits is one of its own, also where a library takes 32 bits."""

import numpy as np

from .errors import InputError

_LEAST, _GREATEST = -(2**63), 2**63 - 1


def is_seed(seed: int) -> bool:
    """Whether an integer has 64 bits."""
    return _LEAST <= seed <= _GREATEST


def check_seed(seed: int) -> int:
    """The seed itself.

    Raises:
        InputError: If it is not an integer of 64 bits.
    """
    if not isinstance(seed, (int, np.integer)) or not is_seed(seed):
        raise InputError(
            f"`seed` must be an integer of 64 bits, {_LEAST} to {_GREATEST}. Received: seed={seed}"
        )
    return int(seed)


def seed_of_32_bits(seed: int) -> int:
    """A seed for Keras and scikit-learn, which take 0 to 2^32 - 1.

    Seeds in that range stay as they are; of others it is a hash.
    """
    if 0 <= check_seed(seed) < 2**32:
        return seed
    return int(np.random.SeedSequence(seed % 2**64).generate_state(1)[0])


def generator(*seeds: int) -> np.random.Generator:
    """NumPy's generator for one or several seeds, negative ones too."""
    return np.random.default_rng([check_seed(seed) % 2**64 for seed in seeds])
