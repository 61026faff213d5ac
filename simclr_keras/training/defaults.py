"""Defaults that depend on the optimizer, and their sources; a test pins each value.

Defaults of single settings are on their fields: `runs/pretrain_config.py`, `runs/config.py`,
`classifiers/settings.py`.
"""

import math
from typing import Literal

OptimizerName = Literal["lars", "lamb", "sgd", "adamw", "muon"]

# command -> optimizer -> rule of `scale_learning_rate` -> its base. `constant` does not grow
# with the batch, because Adam-like steps do not. The first rule is the default.
LEARNING_RATES = {
    "pretrain": {
        # arXiv 2002.05709, Appendix B.1 and Section 2.2
        "lars": {"sqrt": 0.075, "linear": 0.3},
        "sgd": {"sqrt": 0.03 / 16, "linear": 0.03},  # MoCo's 0.03 at a batch of 256
        "adamw": {"constant": 1e-3},
        "lamb": {"constant": 1e-3},
        "muon": {"constant": 1e-3},  # its updates have the size of AdamW's
    },
    "fine-tune": {
        "lars": {"sqrt": 0.005},  # arXiv 2006.10029, Section 3
        "sgd": {"linear": 0.05},  # arXiv 2002.05709, Appendix B.5
        "adamw": {"constant": 1e-3},
        "muon": {"constant": 1e-3},
    },
    "distill": {
        "lars": {"sqrt": 0.1},  # arXiv 2006.10029, Section 3
        "sgd": {"linear": 0.05},
        "adamw": {"constant": 1e-3},
        "muon": {"constant": 1e-3},
    },
}
# For pretraining. The value for LARS is from arXiv 2002.05709, Section 2.2.
WEIGHT_DECAYS = {"lars": 1e-6, "sgd": 1e-4, "adamw": 1e-4, "muon": 1e-4, "lamb": 0.0}


def default_learning_rate(
    command: str, optimizer: str, batch_size: int, rule: str | None = None
) -> float:
    """The default peak learning rate.

    Args:
        command: `"pretrain"`, `"fine-tune"` or `"distill"`.
        optimizer: Name of the optimizer.
        batch_size: N, images per step.
        rule: `"sqrt"` or `"linear"`. Defaults to the first in the table.

    Returns:
        The learning rate.
    """
    bases = LEARNING_RATES[command][optimizer]
    rule = rule if rule in bases else next(iter(bases))
    return (
        bases[rule]
        if rule == "constant"
        else scale_learning_rate(bases[rule], batch_size, rule)
    )


def scale_learning_rate(base: float, batch_size: int, rule: str = "sqrt") -> float:
    """The peak learning rate for a batch size.

    `"sqrt"`: base * sqrt(B), `"linear"`: base * B / 256 (Appendix B.1 of the paper). Below a
    batch size of 2048, `"sqrt"` is better by up to five points (Table B.1 of the paper, with
    base 0.075 against 0.3).

    Args:
        base: Learning rate before scaling, such as 0.075 (`"sqrt"`) or 0.3 (`"linear"`).
        batch_size: B, images per step over all replicas.
        rule: `"sqrt"` or `"linear"`.

    Returns:
        The learning rate to reach at the end of the warm-up.

    Raises:
        ValueError: If the rule is unknown or the batch size is not positive.

    Example:
        >>> import simclr_keras as sk
        >>> sk.scale_learning_rate(0.075, 4096)
        4.8

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive. Received: batch_size={batch_size}")
    if rule == "sqrt":
        return base * math.sqrt(batch_size)
    if rule == "linear":
        return base * batch_size / 256
    raise ValueError(f"`rule` must be 'sqrt' or 'linear'. Received: rule={rule!r}")
