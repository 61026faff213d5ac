"""The settings of a pretraining run, the only place where their defaults are set."""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from typing import ClassVar, Literal

from ..distribution.cluster import StrategyName
from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    IMAGE_SIZE,
    MAX_BAD_FRACTION,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    SEED,
    SHARE,
    SHARE_OR_NONE,
    WIDTH,
    MixedPrecisionOrAuto,
    Normalization,
    Range,
    check_one_length,
    setting,
)
from ..training.defaults import OptimizerName
from ..training.sizes import SizeSchedule
from .setting_sources import SourcedSettings

DEFAULT_EPOCHS = 100
_HAS_NEGATIVES = Range(
    "at least 2: the other images of the batch are the negatives", lambda x: x >= 2
)


@dataclasses.dataclass(frozen=True)
class PretrainConfig(SourcedSettings):
    """The settings of a pretraining run, saved as `config.json` beside the weights.

    Each field is a flag of `simclr-keras pretrain` (`run_dir` is `--run-dir`); `--help` shows
    what each means. The defaults are the paper's ImageNet settings (Section 2.3 and Appendix
    A, B), with a batch size and a length that one machine can handle. `from_sources` starts from
    a preset or a file.

    Raises:
        InputError: If a value is outside its range, or more than one of `epochs`, `steps` and
            `minutes`, or both learning rates, are given.

    Example:
        >>> import simclr_keras as sk
        >>> config = sk.PretrainConfig(dataset="digits", run_dir="runs/digits", steps=100)
        >>> config.temperature
        0.1
        >>> config = sk.PretrainConfig.from_sources("cifar10", run_dir="runs/cifar10")
        >>> config.temperature, config.sources["temperature"]
        (0.5, 'preset cifar10')

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709.
    """

    alternatives: ClassVar = (
        ("epochs", "steps", "minutes"),
        ("learning_rate", "base_learning_rate"),
    )
    belongs_to: ClassVar = {
        "optimizer": (
            "learning_rate",
            "base_learning_rate",
            "learning_rate_scaling",
            "weight_decay",
        ),
        "image_size": ("image_size_schedule",),
        "encoder": ("image_size_schedule",),  # some take images of one size only
    }

    dataset: str = setting(
        MISSING,
        "`digits`, a TFDS name such as cifar10, or a folder of images or shards.",
        panel="Data",
    )
    run_dir: str = setting(
        MISSING, "Run directory. Repeating the command resumes the run.", panel="Run"
    )
    data_dir: str | None = setting(
        None, "Folder of TFDS data (or set TFDS_DATA_DIR).", panel="Data"
    )
    skip_unreadable: bool = setting(False, "Leave out images that cannot be read.")
    max_bad_fraction: float = setting(
        MAX_BAD_FRACTION,
        "Share of the images that may turn out to be unreadable during the run: others replace them.",
        PART,
    )
    hold_out: float | None = setting(
        None,
        "Share of the images that pretraining never sees, to evaluate on; 0: none. Default: a "
        "fifth of each class if there are labels and no test part.",
        PART,
    )
    encoder: str = setting(
        "resnet50",
        "keras.applications name, simclr_resnet18...200, airbench, keras_cv:<preset>, "
        "keras_hub:<preset>, module:function of your own, or a .keras file. Default: that of "
        "`weights`, if known.",
        panel="Network",
    )
    weights: str | None = setting(
        None,
        "Start from `imagenet`, a run, an export, a .keras or weights file, or a checkpoint of the "
        "original release.",
    )
    width_multiplier: float = setting(
        1.0, "Multiplies the filters of a SimCLR ResNet or of airbench.", WIDTH
    )
    small_image_stem: bool = setting(False, "SimCLR ResNet stem for images of about 32 px.")
    selective_kernel: bool = setting(False, "SimCLR v2's selective kernels and ResNet-D.")
    projection_dim: int = setting(
        128,
        "Dimension of the projections.",
        Range("in 1 to 65,536", lambda x: 1 <= x <= 65_536),
    )
    projection_layers: int = setting(
        2,
        "Layers of the projection head (3 in SimCLR v2).",
        Range("in 0 to 16", lambda x: 0 <= x <= 16),
    )
    projection_hidden_dim: int | None = setting(
        None,
        "Width of the projection head's hidden layers. Default: that of the features.",
        Range("in 1 to 65,536", lambda x: 1 <= x <= 65_536),
    )
    normalization: Normalization = setting(
        "batch", "batch; or group or frozen, which make micro-batches exact."
    )
    image_size: int = setting(
        224, "Height and width of the views in pixels.", IMAGE_SIZE, panel="Views"
    )
    image_size_schedule: str | None = setting(
        None, "Sizes of the views and shares of the run, such as 16@0,24@0.4,32@0.8."
    )
    views: int = setting(
        2,
        "Views of each image.",
        Range("in 2 to 64: the views attract each other", lambda x: 2 <= x <= 64),
    )
    color_jitter_strength: float = setting(
        1.0, "Colour jitter strength, the paper's s; 0.5 for CIFAR-10.", NOT_NEGATIVE
    )
    saturation_jitter: float = setting(
        0.8, "Limit of the saturation jitter at strength 1.", NOT_NEGATIVE
    )
    hue_jitter: float = setting(0.2, "Limit of the hue shift at strength 1.", NOT_NEGATIVE)
    grayscale_probability: float = setting(0.2, "Share of views without colour.", SHARE_OR_NONE)
    solarize_probability: float = setting(
        0.0, "Share of views whose bright half is inverted.", SHARE_OR_NONE
    )
    crop_area_min: float = setting(
        0.08, "Minimum share of the image that a crop covers.", SHARE
    )
    crop: Literal["auto", "device", "decode"] = setting(
        "auto",
        "Where crops are cut: decode (from each image's full resolution), device (from a "
        "resized central square), auto (device for in-memory images of one size, else decode).",
    )
    blur: bool = setting(True, "Gaussian blur on half of the views.")
    flip: bool = setting(True, "Flip half of the views horizontally.")
    vertical_flip: bool = setting(False, "Flip half of the views vertically.")
    quarter_turns: bool = setting(False, "Turn views by 0, 90, 180 or 270 degrees.")
    batch_size: int = setting(
        256, "Images per step over all replicas.", _HAS_NEGATIVES, panel="Training"
    )
    micro_batch_size: int | None = setting(
        None,
        "Images whose activations are held at a time; the gradient is still the whole batch's.",
        AT_LEAST_1,
    )
    epochs: int | None = setting(
        None, f"Passes over the data. Default: {DEFAULT_EPOCHS}.", AT_LEAST_1
    )
    steps: int | None = setting(
        None,
        "Number of steps, instead of `epochs`. Can be raised later. 0: keep `weights` as they are.",
        NOT_NEGATIVE,
    )
    minutes: float | None = setting(
        None,
        "Time for the run, instead of `epochs`: chooses the number of steps.",
        Range("positive and at most 525,600, a year", lambda x: 0 < x <= 525_600),
    )
    optimizer: OptimizerName = setting("lars", "Optimizer.")
    learning_rate: float | None = setting(
        None,
        "Peak learning rate. Default: depends on optimizer and batch size (see README).",
        POSITIVE,
    )
    base_learning_rate: float | None = setting(
        None, "Peak learning rate before scaling, instead of `learning_rate`.", POSITIVE
    )
    learning_rate_scaling: Literal["sqrt", "linear"] = setting(
        "sqrt",
        "How the base or default learning rate grows with the batch size: sqrt is base * sqrt(B), "
        "linear is base * B / 256.",
    )
    weight_decay: float | None = setting(
        None,
        "Weight decay. Default: 1e-6 for lars, 1e-4 for sgd, adamw and muon; lamb has none.",
        NOT_NEGATIVE,
    )
    warmup_fraction: float = setting(0.1, "Share of the steps used for warm-up.", SHARE_OR_NONE)
    loss: Literal["nt-xent", "decoupled"] = setting(
        "nt-xent", "nt-xent, or decoupled for small batches."
    )
    temperature: float = setting(0.1, "Temperature of the loss.", POSITIVE)
    probe: bool = setting(False, "Monitor a linear probe trained on the data's labels.")
    mixed_precision: MixedPrecisionOrAuto = setting(
        "none", "Mixed-precision dtype of the networks; auto: what is fastest on the device."
    )
    seed: int = setting(
        0, "Determines the data order, all views and the initial weights.", SEED, panel="Run"
    )
    strategy: StrategyName = setting("auto", "Which devices and workers train together.")
    profile: bool = setting(False, "Say where the time of a step goes.")
    report: bool = setting(True, "Write the page RUN/report/index.html at the end.")
    checkpoint_every: int | None = setting(
        None,
        "Steps between checkpoints. Default: one epoch, clamped to 50 to 500 steps; with `minutes`, "
        "at most a tenth of the run.",
        AT_LEAST_1,
    )

    def __post_init__(self):
        super().__post_init__()
        check_one_length(epochs=self.epochs, steps=self.steps, minutes=self.minutes)
        if self.learning_rate is not None and self.base_learning_rate is not None:
            raise InputError(
                "Give the peak, `learning_rate`, or `base_learning_rate`, which is scaled with the "
                f"batch size. Received: learning_rate={self.learning_rate}, "
                f"base_learning_rate={self.base_learning_rate}"
            )
        if self.normalization == "frozen" and not self.weights:
            raise InputError(
                "`normalization=frozen` uses the moving averages of trained weights. Name the weights "
                "with `weights`, or use `normalization=group`. Received: weights=None"
            )
        if self.steps == 0 and not self.weights:
            raise InputError(
                "With 0 `steps` a run keeps trained weights as they are: name them with `weights`. "
                "Received: steps=0, weights=None"
            )
        if self.image_size_schedule is not None:
            SizeSchedule.parse(self.image_size_schedule, self.image_size)
        if self.optimizer == "lamb" and self.weight_decay:
            raise InputError(
                "`weight_decay` must be 0 with `optimizer=lamb`: LAMB decays weights differently in "
                "Keras and in TensorFlow Addons. Received: "
                f"weight_decay={self.weight_decay}"
            )

    @property
    def sizes(self) -> SizeSchedule | None:
        """The sizes of the views, if they change."""
        text = self.image_size_schedule
        return None if text is None else SizeSchedule.parse(text, self.image_size)

    @classmethod
    def implied(cls, settings: Mapping[str, typing.Any]) -> tuple[str, dict[str, object]]:
        """The architecture that belongs to trained weights."""
        from .initial_weights import network_settings  # imports TensorFlow

        weights = settings.get("weights")
        return f"weights {weights}", network_settings(weights) if weights else {}

    def total_steps(self, steps_per_epoch: int) -> int:
        """The steps of the whole run: `steps`, or those of `epochs` (100 if neither is given)."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or DEFAULT_EPOCHS) * steps_per_epoch
