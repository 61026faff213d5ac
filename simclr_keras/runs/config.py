"""The settings of the commands on runs, and the only copy of their defaults."""

import dataclasses
from dataclasses import MISSING
from typing import Literal

from ..distribution.cluster import StrategyName
from ..errors import InputError
from ..settings import (
    AT_LEAST_1,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    SHARE_OR_NONE,
    Normalization,
    Range,
    Settings,
    WeightsDtype,
    setting,
)
from ..training.defaults import OptimizerName

_HAS_NEGATIVES = Range(
    "at least 2: the other images of the batch are the negatives", lambda x: x >= 2
)


@dataclasses.dataclass(frozen=True)
class PretrainConfig(Settings):
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

    dataset: str = setting(
        MISSING, "`digits`, a TFDS name such as cifar10, or a folder of images."
    )
    run_dir: str = setting(MISSING, "Folder of the run. The same command resumes it.")
    data_dir: str | None = setting(None, "Folder of TFDS data (or set TFDS_DATA_DIR).")
    encoder: str = setting(
        "resnet50", "keras.applications name, simclr_resnet18...200 or keras_cv:<preset>."
    )
    weights: str | None = setting(None, "Start from `imagenet` or a weights file.")
    width_multiplier: float = setting(
        1.0, "Factor on the filters of a SimCLR ResNet.", POSITIVE
    )
    small_image_stem: bool = setting(False, "SimCLR ResNet stem for images of about 32 px.")
    selective_kernel: bool = setting(False, "SimCLR v2's selective kernels and ResNet-D.")
    projection_dim: int = setting(128, "Dimension of the projections.")
    projection_layers: int = setting(2, "Layers of the projection head (3 in SimCLR v2).")
    image_size: int = setting(224, "Side of the views in pixels.", AT_LEAST_1)
    batch_size: int = setting(256, "Images per step over all replicas.", _HAS_NEGATIVES)
    micro_batch_size: int | None = setting(
        None,
        "Images to hold activations of at a time; the gradient stays the batch's.",
        AT_LEAST_1,
    )
    normalization: Normalization = setting(
        "batch", "batch, or group or frozen, with which micro-batches are exact."
    )
    epochs: int = setting(100, "Passes over the data.", AT_LEAST_1)
    steps: int | None = setting(None, "Number of steps, instead of `epochs`.", AT_LEAST_1)
    optimizer: OptimizerName = setting("lars", "Optimizer.")
    learning_rate: float | None = setting(
        None, "Peak learning rate. Default: by optimizer and batch size (see README).", POSITIVE
    )
    learning_rate_scaling: Literal["sqrt", "linear"] = setting(
        "sqrt", "How the default learning rate grows with the batch size."
    )
    weight_decay: float | None = setting(
        None, "Default 1e-6 for lars, 1e-4 for sgd and adamw; lamb has none.", NOT_NEGATIVE
    )
    warmup_fraction: float = setting(0.1, "Share of the steps that warm up.", SHARE_OR_NONE)
    loss: Literal["nt-xent", "decoupled"] = setting(
        "nt-xent", "nt-xent, or decoupled for small batches."
    )
    temperature: float = setting(0.1, "Temperature of the loss.", POSITIVE)
    color_jitter_strength: float = setting(
        1.0, "The paper's s; 0.5 for CIFAR-10.", NOT_NEGATIVE
    )
    crop_area_min: float = setting(0.08, "Least share of the image that a crop covers.", SHARE)
    crop: Literal["auto", "device", "decode"] = setting(
        "auto",
        "Where crops are cut: decode (from each image's full resolution), device (from a "
        "resized central square), auto (device for images of one size in memory).",
    )
    blur: bool = setting(True, "Gaussian blur on half of the views.")
    flip: bool = setting(True, "Mirror half of the views.")
    probe: bool = setting(False, "Watch a linear probe on the labels of the data.")
    seed: int = setting(
        0, "Decides the order of the data, all views and the first weights.", SEED
    )
    strategy: StrategyName = setting("auto", "Which devices and workers train together.")
    mixed_precision: Literal["none", "float16", "bfloat16"] = setting(
        "none", "What the networks compute in."
    )
    checkpoint_every: int | None = setting(
        None, "Steps between checkpoints. Default: an epoch, but 50 to 500 steps.", AT_LEAST_1
    )
    skip_unreadable: bool = setting(False, "Leave out images that cannot be read.")

    def __post_init__(self):
        super().__post_init__()
        if self.normalization == "frozen" and not self.weights:
            raise InputError(
                "`normalization=frozen` keeps the averages of trained weights: name some with "
                "`weights`, or use `normalization=group`. Received: weights=None"
            )
        if self.optimizer == "lamb" and self.weight_decay:
            raise InputError(
                "`weight_decay` stays 0 with `optimizer=lamb`: Keras' LAMB and TensorFlow "
                f"Addons' decay in two different ways. Received: weight_decay={self.weight_decay}"
            )


@dataclasses.dataclass(frozen=True)
class TrainedConfig(Settings):
    """Which trained encoder: a run's, or one of the original release.

    Raises:
        InputError: If it is not exactly one of both, or a run is given a size.
    """

    run: str | None = setting(None, "A run directory (or use `official`).", argument="RUN")
    official: str | None = setting(
        None, "A checkpoint of the original SimCLR release, instead of a run."
    )
    image_size: int | None = setting(
        None, "Image size of `official`. Default: 224, or 32 by its stem.", AT_LEAST_1
    )

    def __post_init__(self):
        super().__post_init__()
        if (self.run is None) == (self.official is None):
            raise InputError(
                "Name either a run directory or, with `official`, a checkpoint of the original "
                f"release. Received: run={self.run}, official={self.official}"
            )
        if self.run is not None and self.image_size is not None:
            raise InputError(
                "`image_size` belongs to `official`: a run knows the size of its images. "
                f"Received: image_size={self.image_size}, run={self.run}"
            )


@dataclasses.dataclass(frozen=True)
class EvaluateConfig(TrainedConfig):
    """What `evaluate` measures, and on what.

    Raises:
        InputError: If a value is outside its range, or `epochs` is given without the protocol
            that has them.

    Example:
        >>> import simclr_keras as sk
        >>> sk.EvaluateConfig("runs/digits", protocol="both").epochs is None
        True

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.6 (linear evaluation).
    """

    dataset: str | None = setting(None, "Labelled data. Default: the run's.")
    eval_dataset: str | None = setting(
        None, "Other data to measure on; then all of `dataset` is learned from."
    )
    data_dir: str | None = setting(None, "Folder of TFDS data. Default: the run's.")
    batch_size: int = setting(
        256, "Images per forward pass, and per step of the SGD protocol.", AT_LEAST_1
    )
    compare_random: bool = setting(False, "Measure the encoder with random weights too.")
    protocol: Literal["lbfgs", "sgd", "both"] = setting(
        "lbfgs", "Of linear evaluation: lbfgs on features, sgd on random crops, or both."
    )
    epochs: int | None = setting(
        None, "Of the SGD protocol. Default: 90, as in the paper.", AT_LEAST_1
    )
    learning_curve: bool = setting(False, "How many labels are enough? With a picture.")

    def __post_init__(self):
        super().__post_init__()
        if self.epochs is not None and self.protocol == "lbfgs":
            raise InputError(
                "`epochs` belongs to the SGD protocol; L-BFGS runs until it has converged. Leave "
                f"it out, or choose `protocol=sgd` or `protocol=both`. Received: epochs={self.epochs}"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig(TrainedConfig):
    """What `export` writes.

    Raises:
        InputError: If a value is outside its range, or does not go with `classifier`.

    Example:
        >>> import simclr_keras as sk
        >>> sk.ExportConfig("runs/digits", output="saved_models/digits").weights_dtype
        'float32'

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """

    output: str = setting(MISSING, "Folder of the model: saved_models/NAME.")
    classifier: str | None = setting(
        None, "Name of a fine-tuned or distilled classifier of the run, instead of its encoder."
    )
    version: int | None = setting(
        None, "Version number. Default: the next free one.", AT_LEAST_1
    )
    l2_normalise: bool = setting(False, "Divide embeddings by their length.")
    weights_dtype: WeightsDtype = setting(
        "float32", "float32, or float16 or bfloat16: half the size, to serve only."
    )
    licence: str | None = setting(None, "Licence of the weights, kept in metadata.json.")

    def __post_init__(self):
        if self.classifier is not None:
            self._check_classifier()
        super().__post_init__()

    def _check_classifier(self):
        if self.official is not None or self.image_size is not None or self.l2_normalise:
            raise InputError(
                "`classifier` is of a run, and serves probabilities: leave out `official`, "
                f"`image_size` and `l2_normalise`. Received: classifier={self.classifier}"
            )
        if self.run is None:
            raise InputError(
                f"`classifier` needs a run directory. Received: classifier={self.classifier}"
            )


@dataclasses.dataclass(frozen=True)
class ReportConfig(Settings):
    """Of which run the pictures are drawn."""

    run: str = setting(MISSING, "A run directory.", argument="RUN")


@dataclasses.dataclass(frozen=True)
class QuickstartConfig(Settings):
    """Where the quickstart writes."""

    run_dir: str = setting(
        "runs/digits", "Folder of the run; a finished one is not trained again."
    )
    output: str = setting("saved_models/digits", "Folder of the exported model.")
