"""`PretrainConfig`: the settings of a run and the only copy of their defaults."""

import dataclasses
from dataclasses import field

from ..errors import InputError
from ..seeds import is_seed
from ..settings import check_choices, check_numbers
from ..settings import setting as _setting

OPTIMIZERS = ("lars", "lamb", "sgd", "adamw")
CROP_ROUTES = ("auto", "device", "decode")
MIXED_PRECISION = ("none", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides a pretraining run; saved as `config.json` beside the weights.

    Each field is a flag of `simclr-keras pretrain` (`run_dir` is `--run-dir`); `--help` shows
    what each means. The defaults are the paper's ImageNet settings (Section 2.3 and Appendix
    A, B) with a batch and a length that one machine can carry.

    Raises:
        InputError: If a value is outside its range.

    Example:
        >>> import simclr_keras as sk
        >>> config = sk.PretrainConfig(dataset="digits", run_dir="runs/digits", steps=100)
        >>> config.temperature
        0.1

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709.
    """

    dataset: str = field(
        metadata={"help": "`digits`, a TFDS name such as cifar10, or a folder of images."}
    )
    run_dir: str = field(metadata={"help": "Folder of the run. The same command resumes it."})
    data_dir: str | None = _setting(None, "Folder of TFDS data (or set TFDS_DATA_DIR).")
    encoder: str = _setting(
        "resnet50", "keras.applications name, simclr_resnet18...200 or keras_cv:<preset>."
    )
    weights: str | None = _setting(None, "Start from `imagenet` or a weights file.")
    width_multiplier: float = _setting(1.0, "Factor on the filters of a SimCLR ResNet.")
    small_image_stem: bool = _setting(False, "SimCLR ResNet stem for images of about 32 px.")
    selective_kernel: bool = _setting(False, "SimCLR v2's selective kernels and ResNet-D.")
    projection_dim: int = _setting(128, "Dimension of the projections.")
    projection_layers: int = _setting(2, "Layers of the projection head (3 in SimCLR v2).")
    image_size: int = _setting(224, "Side of the views in pixels.")
    batch_size: int = _setting(256, "Images per step over all replicas.")
    micro_batch_size: int | None = _setting(
        None, "Images to hold activations of at a time; the gradient stays the batch's."
    )
    normalization: str = _setting(
        "batch", "batch, or group or frozen, with which micro-batches are exact."
    )
    epochs: int = _setting(100, "Passes over the data.")
    steps: int | None = _setting(None, "Number of steps, instead of --epochs.")
    optimizer: str = _setting("lars", "lars, lamb, sgd or adamw.")
    learning_rate: float | None = _setting(
        None, "Peak learning rate. Default: by optimizer and batch size (see README)."
    )
    learning_rate_scaling: str = _setting(
        "sqrt", "Rule of the default learning rate: sqrt or linear in the batch size."
    )
    weight_decay: float | None = _setting(
        None, "Default 1e-6 for lars, 1e-4 for sgd and adamw; lamb has none."
    )
    warmup_fraction: float = _setting(0.1, "Share of the steps that warm up.")
    loss: str = _setting("nt-xent", "nt-xent, or decoupled for small batches.")
    temperature: float = _setting(0.1, "Temperature of the loss.")
    color_jitter_strength: float = _setting(1.0, "The paper's s; 0.5 for CIFAR-10.")
    crop_area_min: float = _setting(0.08, "Least share of the image that a crop covers.")
    crop: str = _setting(
        "auto",
        "Where crops are cut: decode (from each image's full resolution), device (from a "
        "resized central square), auto (device for images of one size in memory).",
    )
    blur: bool = _setting(True, "Gaussian blur on half of the views.")
    flip: bool = _setting(True, "Mirror half of the views.")
    probe: bool = _setting(False, "Watch a linear probe on the labels of the data.")
    seed: int = _setting(0, "Decides the order of the data, all views and the first weights.")
    strategy: str = _setting("auto", "auto, one, mirrored, multi-worker or tpu.")
    mixed_precision: str = _setting("none", "none, float16 or bfloat16.")
    checkpoint_every: int | None = _setting(
        None, "Steps between checkpoints. Default: an epoch, but 50 to 500 steps."
    )
    skip_unreadable: bool = _setting(False, "Leave out images that cannot be read.")

    def __post_init__(self):
        check_choices(
            self,
            optimizer=OPTIMIZERS,
            learning_rate_scaling=("sqrt", "linear"),
            mixed_precision=MIXED_PRECISION,
            crop=CROP_ROUTES,
            normalization=("batch", "group", "frozen"),
            loss=("nt-xent", "decoupled"),
        )
        check_numbers(
            self,
            lambda value: value >= 1,
            "at least 1",
            *("image_size", "batch_size", "micro_batch_size", "epochs", "steps"),
            "checkpoint_every",
        )
        if self.batch_size < 2:
            raise InputError(
                "--batch-size must be at least 2: the other images of the batch are the "
                f"negatives. Received: {self.batch_size}"
            )
        if self.normalization == "frozen" and not self.weights:
            raise InputError(
                "--normalization frozen keeps the averages of trained weights: name some with "
                "--weights, or use --normalization group. Received: --weights none"
            )
        check_numbers(
            self,
            lambda value: value > 0,
            "positive",
            *("temperature", "learning_rate", "width_multiplier"),
        )
        check_numbers(
            self,
            lambda value: value >= 0,
            "0 or more",
            *("color_jitter_strength", "weight_decay"),
        )
        check_numbers(self, lambda value: 0 < value <= 1, "in (0, 1]", "crop_area_min")
        check_numbers(self, is_seed, "an integer of 64 bits", "seed")
        check_numbers(self, lambda value: 0 <= value <= 1, "in [0, 1]", "warmup_fraction")
        if self.optimizer == "lamb" and self.weight_decay:
            raise InputError(
                "--weight-decay stays 0 with --optimizer lamb: Keras' LAMB and TensorFlow "
                f"Addons' decay in two different ways. Received: {self.weight_decay}"
            )
