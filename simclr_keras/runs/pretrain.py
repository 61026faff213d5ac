"""`pretrain`: from settings to a finished run directory."""

import dataclasses
import functools
import logging
import tempfile

import keras
import tensorflow as tf

from ..data.datasets import check_batch, pretraining_dataset
from ..data.sources import ImageSource
from ..distribution.strategy import check_divides, choose_strategy, is_chief
from ..distribution.workers import (
    check_agreement,
    leave_together,
)
from ..errors import InputError
from ..networks.encoders import build_encoder
from ..networks.normalization import replace_batch_norm
from ..networks.precision import precision
from ..networks.projection_head import ProjectionHead
from ..objective.nt_xent import NTXentLoss, collapsed_loss
from ..progress import progress_shown
from ..result import Result
from ..seeds import seed_of_32_bits
from ..training.callbacks import (
    CollapseWarning,
    RunHistory,
    SaveCheckpoints,
    StopOnNonFiniteLoss,
)
from ..training.checkpoints import Checkpoints
from ..training.defaults import (
    LEARNING_RATES,
    WEIGHT_DECAYS,
    default_learning_rate,
    scale_learning_rate,
)
from ..training.loop import fit_in_intervals
from ..training.optimizers import make_optimizer
from ..training.schedules import WarmupCosine
from ..training.simclr import SimCLR
from ..views.augmenter import SimCLRAugmenter
from ..views.cutting import CropCutter
from .config import PretrainConfig
from .directory import RunDirectory, deciding_settings
from .run_images import check_images, image_sizes
from .run_source import training_parts

_LOGGER = logging.getLogger("simclr_keras")

_DEVICE_MARGIN = 8 / 7  # crops on the device are cut from 256 pixels for views of 224


@dataclasses.dataclass(frozen=True)
class PretrainResult(Result):
    """What `pretrain` did.

    Attributes:
        run_dir: The run directory.
        steps: Steps of the whole run.
        first_step: The step this call began at: 0, or where an earlier call ended.
        loss: Mean loss of the last interval, `None` if there was nothing left to do.
    """

    run_dir: str
    steps: int
    first_step: int
    loss: float | None


@progress_shown()
def pretrain(config: PretrainConfig) -> PretrainResult:
    """Pretrains an encoder without labels into a run directory; continues an unfinished run.

    A continued run ends with the same weights as an uninterrupted one: data order and views are
    functions of (seed, step), and everything else is in the checkpoint.

    Progress, a line per interval, goes to the logger `simclr_keras`: to standard error unless
    the program has set up logging. `logging.getLogger("simclr_keras").setLevel("WARNING")`
    silences it.

    Args:
        config: The settings.

    Returns:
        A `PretrainResult`; the encoder is in `RUN/encoder.keras`, the projection head in
        `RUN/projection_head.keras`.

    Raises:
        InputError: If the data or the settings cannot be used; nothing is written.
        RunFailure: If training cannot continue, for example because the loss is not finite.

    Example:
        >>> import tempfile
        >>> import simclr_keras as sk
        >>> config = sk.PretrainConfig(
        ...     dataset="digits", run_dir=tempfile.mkdtemp() + "/run", image_size=8,
        ...     encoder="simclr_resnet18", width_multiplier=0.125, small_image_stem=True,
        ...     batch_size=32, steps=2,
        ... )
        >>> sk.pretrain(config).steps
        2

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Algorithm 1.
    """
    directory = RunDirectory(config.run_dir)
    directory.check(config)
    strategy = choose_strategy(config.strategy)  # with several workers: before any other op
    source, held_out = training_parts(config, directory)
    sizes = image_sizes(source)
    check_images(directory, sizes, config.dataset)
    check_batch(config.batch_size, source)
    steps_per_epoch = len(source) // config.batch_size
    total_steps = config.total_steps(steps_per_epoch)
    chief = is_chief(strategy)  # the others write nothing into the run directory
    if directory.is_finished:
        if chief:
            directory.begin(config)  # remembers where the images are now
        _LOGGER.info("The run in %s is finished: nothing to do.", config.run_dir)
        return PretrainResult(config.run_dir, total_steps, total_steps, None)
    check_divides(config.batch_size, strategy, config.micro_batch_size)
    schedule = learning_rate_schedule(config, total_steps)
    keras.utils.set_random_seed(seed_of_32_bits(config.seed))
    with precision(config.mixed_precision), strategy.scope():
        model = _build_model(config, source)
        model.compile(optimizer=_optimizer(config, schedule, model.trainable_variables))
    if chief:
        directory.begin(config, sizes, held_out)
    elsewhere = None if chief else tempfile.TemporaryDirectory(prefix="simclr_keras_worker_")
    checkpoints = Checkpoints(
        model, directory.checkpoints, write_to=elsewhere.name if elsewhere else None
    )
    first_step = checkpoints.restore()
    check_agreement(strategy, deciding_settings(config), len(source), first_step)
    if held_out is not None:
        _LOGGER.info("%d images are held out: %s", len(held_out), directory.held_out_file)
    _log_start(config, source, total_steps, first_step, schedule, strategy)
    interval = min(config.checkpoint_every or min(max(steps_per_epoch, 50), 500), total_steps)
    callbacks = [
        StopOnNonFiniteLoss(
            "Lower `learning_rate`, or raise `temperature`; with `mixed_precision=float16` try "
            "bfloat16."
        ),
        CollapseWarning(config.batch_size, schedule.warmup_steps),
    ]
    if chief:
        callbacks += [
            RunHistory(
                directory.history_file,
                directory.tensorboard,
                config.batch_size,
                steps_per_epoch,
                total_steps,
                schedule,
            )
        ]
    callbacks += [SaveCheckpoints(checkpoints)]
    logs = fit_in_intervals(
        model,
        source,
        functools.partial(training_batches, config, source, build_augmenter(config)),
        config.batch_size,
        total_steps,
        interval,
        callbacks,
    )
    networks = _for_inference(config, model, source)  # reads variables of all workers
    if chief:
        directory.save_networks(*networks)
    leave_together(strategy, chief)
    return PretrainResult(
        config.run_dir, total_steps, first_step, logs["loss"] if logs else None
    )


def learning_rate_schedule(config: PretrainConfig, total_steps: int) -> WarmupCosine:
    """The run's schedule; its peak is given, scaled from the base, or the optimizer's default."""
    batch_size, rule = config.batch_size, config.learning_rate_scaling
    if config.base_learning_rate is not None:
        peak = scale_learning_rate(config.base_learning_rate, batch_size, rule)
    else:
        peak = config.learning_rate or default_learning_rate(
            "pretrain", config.optimizer, batch_size, rule
        )
    return WarmupCosine(peak, total_steps, round(config.warmup_fraction * total_steps))


def build_augmenter(config: PretrainConfig) -> SimCLRAugmenter:
    """The run's augmentations."""
    return SimCLRAugmenter(
        config.image_size,
        color_jitter_strength=config.color_jitter_strength,
        blur=config.blur,
        flip=config.flip,
        crop_area=(config.crop_area_min, 1.0),
        color_jitter=(0.8, 0.8, config.saturation_jitter, config.hue_jitter),
        grayscale_probability=config.grayscale_probability,
        vertical_flip=config.vertical_flip,
        quarter_turns=config.quarter_turns,
        solarize_probability=config.solarize_probability,
    )


def training_batches(
    config: PretrainConfig,
    source: ImageSource,
    augmenter: SimCLRAugmenter,
    first_step: int,
    num_steps: int,
    **rows,
) -> tf.data.Dataset:
    """The batches of `pretraining_dataset`, with crops cut where `config.crop` says."""
    while_decoding = config.crop == "decode" or (
        config.crop == "auto" and source.image_shape is None
    )
    return pretraining_dataset(
        source,
        config.batch_size,
        seed=config.seed,
        first_step=first_step,
        num_steps=num_steps,
        image_size=round(config.image_size * _DEVICE_MARGIN),
        cutter=CropCutter.suited_to(source, augmenter, config.seed) if while_decoding else None,
        with_labels=config.probe,
        **rows,
    )


def _build_model(config: PretrainConfig, source) -> SimCLR:
    probe = None
    if config.probe:
        if not source.has_labels:
            raise InputError(
                f"`probe` needs labels, but {config.dataset} has none. Leave it out, or put "
                "the labelled images in one sub-folder per class."
            )
        probe = keras.layers.Dense(len(source.class_names), dtype="float32", name="probe")
    return SimCLR(
        _encoder(config, source, config.weights),
        _projection_head(config),
        build_augmenter(config),
        temperature=config.temperature,
        loss=NTXentLoss(config.temperature, decoupled=config.loss == "decoupled"),
        probe=probe,
        micro_batch_size=config.micro_batch_size,
        seed=config.seed,
    )


def _encoder(config: PretrainConfig, source, weights: str | None, **options) -> keras.Model:
    encoder = build_encoder(
        config.encoder,
        config.image_size,
        channels=source.channels,
        weights=weights,
        width_multiplier=config.width_multiplier,
        small_image_stem=config.small_image_stem,
        selective_kernel=config.selective_kernel,
        **options,
    )
    return replace_batch_norm(encoder, config.normalization)


def _projection_head(config: PretrainConfig) -> ProjectionHead:
    return ProjectionHead(
        config.projection_dim,
        config.projection_layers,
        normalization="none" if config.normalization == "frozen" else config.normalization,
    )


def _optimizer(config: PretrainConfig, schedule: WarmupCosine, variables):
    decay = config.weight_decay
    decay = WEIGHT_DECAYS[config.optimizer] if decay is None else decay
    return make_optimizer(config.optimizer, schedule, decay, variables)


def _for_inference(
    config: PretrainConfig, model: SimCLR, source
) -> tuple[keras.Model, ProjectionHead]:
    """Copies of the trained encoder and projection head, in float32 and outside the strategy."""
    encoder = _encoder(config, source, None, log_changes=False)
    projection_head = _projection_head(config)
    projection_head.build(encoder.output_shape)
    for network, trained in (
        (encoder, model.encoder),
        (projection_head, model.projection_head),
    ):
        network.set_weights(trained.get_weights())
    return encoder, projection_head


def _log_start(config, source, total_steps, first_step, schedule, strategy) -> None:
    """Logs what you need to diagnose a failed run."""
    is_decoupled = config.loss == "decoupled"
    _LOGGER.info(
        "%d images of %s, %d steps with a batch of %d; %d replicas; %d candidates for each view, "
        "so a collapsed encoder has a loss of %.3f; %s with a peak learning rate of %.4g",
        len(source),
        config.dataset,
        total_steps,
        config.batch_size,
        strategy.num_replicas_in_sync,
        2 * config.batch_size - 1 - is_decoupled,
        collapsed_loss(config.batch_size, is_decoupled),
        config.optimizer,
        schedule.peak_learning_rate,
    )
    is_scaled = "constant" not in LEARNING_RATES["pretrain"][config.optimizer]
    has_rule = config.base_learning_rate is not None or (
        config.learning_rate is None and is_scaled
    )
    if config.learning_rate_scaling != PretrainConfig.learning_rate_scaling and not has_rule:
        _LOGGER.warning(
            "`learning_rate_scaling=%s` has no effect here: it scales only `base_learning_rate` and "
            "the default learning rates of lars and sgd.",
            config.learning_rate_scaling,
        )
    if first_step:
        _LOGGER.info("Continuing at step %d.", first_step)
