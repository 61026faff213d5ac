"""`TrainingSettings`: how fine-tuning and distillation train a classifier."""

import dataclasses
import math
import typing
from typing import Literal

from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    AT_LEAST_2,
    MAX_BAD_FRACTION,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    SEED,
    SHARE,
    MixedPrecision,
    Settings,
    check_one_length,
    setting,
)
from ..training.defaults import OptimizerName, default_learning_rate

# A LARS step is a thousandth of a weight's norm times the learning rate, so with fewer steps it
# barely changes a network. The paper's own runs have 750 (1 % of ImageNet) or more.
_LEAST_LARS_STEPS = 500
_LEAST_STEPS = 400
_LARGEST_BATCH = 1024
_LEAST_BATCH = 16
FROZEN_SETTINGS = ("seed", "max_bad_fraction")  # what matters on frozen features


class TrainingPlan(typing.NamedTuple):
    """`TrainingSettings` resolved for a number of images."""

    steps: int
    batch_size: int
    optimizer: OptimizerName
    learning_rate: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """Length, batch, optimizer, crops and precision of a classifier's training.

    Settings that are `None` are chosen for the number of images: see `plan`.

    Raises:
        InputError: If a value is outside its range, or both `epochs` and `steps` are given.
    """

    epochs: int | None = setting(
        None,
        "Passes over the images. Default: to fine-tune 60 (30 from 50,000 labels on), to distill "
        "100, and at least 400 steps.",
        AT_LEAST_1,
        panel="Training",
    )
    steps: int | None = setting(None, "Number of steps, instead of `epochs`.", AT_LEAST_1)
    # Batch norm of a single row of features is constant, and so is every logit after it.
    batch_size: int | None = setting(
        None, "Images per step. Default: a quarter of the images, from 16 to 1024.", AT_LEAST_2
    )
    optimizer: Literal["auto", "lars", "adamw", "sgd"] = setting(
        "auto", "auto: lars for at least 500 steps of 1024 images, else adamw (as in float16)."
    )
    learning_rate: float | None = setting(
        None,
        "Initial learning rate of a cosine. Default: by optimizer and batch size.",
        POSITIVE,
    )
    weight_decay: float = setting(
        0.0, "Weight decay; the paper fine-tunes without.", NOT_NEGATIVE
    )
    crop_area_min: float | None = setting(
        None,
        "Minimum share of the image that a crop covers. Default: as in pretraining.",
        SHARE,
        panel="Views",
    )
    flip: bool | None = setting(None, "Mirror half of the images. Default: as in pretraining.")
    mixed_precision: MixedPrecision = setting(
        "none", "Mixed-precision dtype of the network in training.", panel="Training"
    )
    max_bad_fraction: float | None = setting(
        None,
        "Share of the images that may turn out to be unreadable. Default: as in pretraining.",
        PART,
        panel="Data",
    )
    seed: int = setting(
        0, "Determines the choice of labels, their order and all crops.", SEED, panel="Run"
    )

    def __post_init__(self):
        super().__post_init__()
        check_one_length(epochs=self.epochs, steps=self.steps)

    def check_frozen(self, *others: str) -> None:
        """Raises an `InputError` if something is set that a classifier of frozen features ignores.

        Args:
            *others: Names of further settings of a subclass that it ignores.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        trained = (field.name for field in dataclasses.fields(TrainingSettings))
        given = [
            f"{name}={getattr(self, name)}"
            for name in (*others, *trained)
            if name not in FROZEN_SETTINGS and getattr(self, name) != defaults[name]
        ]
        if given:
            raise InputError(
                "`frozen` fits only the classifier, on features that stay as they are: leave out what "
                f"is for training the network. Received: {', '.join(given)}"
            )

    @property
    def most_bad(self) -> float:
        """`max_bad_fraction`, or its default."""
        return MAX_BAD_FRACTION if self.max_bad_fraction is None else self.max_bad_fraction

    def plan(self, command: str, images: int, epochs: int) -> TrainingPlan:
        """The steps, batch size, optimizer and learning rate for a number of images.

        The batch size is the largest power of two up to a quarter of the images, between 16 and
        the paper's 1024. The steps are those of `epochs` passes, but at least 400: with 100
        images, 60 passes would be 360 steps of 16. LARS needs many steps on large batches to
        make progress; with fewer than 500 steps of 1024 images, or in float16, whose loss scaling
        takes one optimizer for all layers, `"auto"` chooses AdamW.

        Args:
            command: `"fine-tune"` or `"distill"`.
            images: N, images to train on.
            epochs: Default of the setting `epochs`.

        Returns:
            A `TrainingPlan`.
        """
        quarter = 2 ** int(math.log2(max(images / 4, 1)))
        batch_size = self.batch_size or min(max(quarter, _LEAST_BATCH), _LARGEST_BATCH)
        batch_size = min(batch_size, images)
        steps = self.steps or (self.epochs or epochs) * (images // batch_size)
        if not self.steps and not self.epochs:
            steps = max(steps, _LEAST_STEPS)
        optimizer = self.optimizer
        if optimizer == "auto":
            is_papers = batch_size >= _LARGEST_BATCH and steps >= _LEAST_LARS_STEPS
            takes_lars = is_papers and self.mixed_precision != "float16"
            optimizer = "lars" if takes_lars else "adamw"
        rate = self.learning_rate or default_learning_rate(command, optimizer, batch_size)
        return TrainingPlan(steps, batch_size, optimizer, rate)
