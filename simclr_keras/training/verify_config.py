"""The settings of `verify-replicas`, and the only copy of their defaults."""

import dataclasses
from typing import Literal

from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    AT_LEAST_2,
    IMAGE_SIZE,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    WIDTH,
    Range,
    Settings,
    setting,
)


@dataclasses.dataclass(frozen=True)
class VerifyConfig(Settings):
    """What `verify_replicas` trains on one and on N replicas.

    Raises:
        InputError: If a value is outside its range, or the batch does not divide evenly.

    Example:
        >>> import simclr_keras as sk
        >>> sk.VerifyConfig(encoder="resnet50", image_size=64).replicas
        2

    Reference:
        See `verify_replicas`.
    """

    encoder: str = setting(
        "simclr_resnet18",
        "Encoder name, a .keras file, or module:function of your own.",
        panel="Network",
    )
    image_size: int = setting(
        32, "Height and width of the images, for encoders that take any size.", IMAGE_SIZE
    )
    width_multiplier: float = setting(1.0, "Factor on the filters of a SimCLR ResNet.", WIDTH)
    small_image_stem: bool = setting(False, "SimCLR ResNet stem for images of about 32 px.")
    replicas: int = setting(
        2,
        "Replicas (logical devices) to compare with one.",
        Range("in 2 to 64", lambda x: 2 <= x <= 64),
        panel="Training",
    )
    batch_size: int | None = setting(
        None, "Images per step over all replicas. Default: 8 per replica.", AT_LEAST_2
    )
    steps: int = setting(5, "Steps to train.", AT_LEAST_1)
    optimizer: Literal["sgd", "lars", "lamb"] = setting(
        "sgd",
        "Optimizer. The gradient of a bias ahead of batch norm is rounding noise, which "
        "Adam-like steps such as LAMB's magnify.",
    )
    learning_rate: float | None = setting(
        None,
        "Learning rate. Default: one with which the effect of rounding stays small.",
        POSITIVE,
    )
    l2: float = setting(0.0, "L2 penalty to add to every kernel.", NOT_NEGATIVE)
    tolerance: float = setting(
        1e-5,
        "Largest difference of a weight that passes, relative to the largest weight of its "
        "variable where that is above 1.",
        POSITIVE,
        panel="Run",
    )
    seed: int = setting(0, "Seed of the weights and images.", SEED)

    def __post_init__(self):
        super().__post_init__()
        if self.batch_size and self.batch_size % self.replicas:
            raise InputError(
                "The batch must be a multiple of the number of replicas. Received: "
                f"replicas={self.replicas}, batch_size={self.batch_size}"
            )
