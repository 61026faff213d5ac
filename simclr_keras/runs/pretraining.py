"""What `pretrain` trains: the networks, the loss, the views and the optimizer of a run's settings."""

import keras
import tensorflow as tf

from ..data.datasets import pretraining_dataset
from ..data.sources import ImageSource
from ..errors import InputError
from ..networks.encoders import build_encoder
from ..networks.normalization import replace_batch_norm
from ..networks.projection_head import ProjectionHead
from ..objective.nt_xent import NTXentLoss
from ..training.defaults import WEIGHT_DECAYS, default_learning_rate, scale_learning_rate
from ..training.optimizers import make_optimizer
from ..training.schedules import WarmupCosine, WarmupCosineOfRun
from ..training.simclr import SimCLR
from ..views.augmenter import SimCLRAugmenter
from ..views.cutting import CropCutter
from .initial_weights import InitialWeights, weights_for_keras
from .pretrain_config import PretrainConfig

_DEVICE_MARGIN = 8 / 7  # crops on the device are cut from 256 pixels for views of 224


def learning_rate_schedule(config: PretrainConfig, total_steps: int) -> WarmupCosineOfRun:
    """The run's schedule; its peak is given, scaled from the base, or the optimizer's default."""
    batch_size, rule = config.batch_size, config.learning_rate_scaling
    if config.base_learning_rate is not None:
        peak = scale_learning_rate(config.base_learning_rate, batch_size, rule)
    else:
        peak = config.learning_rate or default_learning_rate(
            "pretrain", config.optimizer, batch_size, rule
        )
    return WarmupCosineOfRun(peak, total_steps, config.warmup_fraction)


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
        views=config.views,
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


def build_model(
    config: PretrainConfig, source: ImageSource, initial: InitialWeights | None = None
) -> SimCLR:
    """The run's model, to be compiled; call it in the precision and scope of the run.

    Args:
        config: The settings of the run.
        source: Its images.
        initial: Weights to start from, beside those that `build_encoder` knows.

    Raises:
        InputError: If the encoder cannot be built, the weights are not its own, or a probe has no
            labels.
    """
    probe = None
    if config.probe:
        if not source.has_labels:
            raise InputError(
                f"`probe` needs labels, but {config.dataset} has none. Leave it out, or put "
                "the labelled images in one sub-folder per class."
            )
        probe = keras.layers.Dense(len(source.class_names), dtype="float32", name="probe")
    model = SimCLR(
        _encoder(config, source, weights_for_keras(config.weights), initial),
        _projection_head(config),
        build_augmenter(config),
        temperature=config.temperature,
        loss=NTXentLoss(config.temperature, decoupled=config.loss == "decoupled"),
        probe=probe,
        micro_batch_size=config.micro_batch_size,
        seed=config.seed,
    )
    if initial is not None:
        initial.copy_to_projection_head(model.projection_head)
    return model


def _encoder(
    config: PretrainConfig,
    source: ImageSource,
    weights: str | None = None,
    initial: InitialWeights | None = None,
    **options,
) -> keras.Model:
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
    # Group norm has fewer weights than the batch norm that it replaces.
    is_before = initial is not None and initial.fit_encoder(encoder)
    if initial is not None and is_before:
        initial.copy_to_encoder(encoder)
    encoder = replace_batch_norm(encoder, config.normalization)
    if initial is not None and not is_before:
        initial.copy_to_encoder(encoder)
    return encoder


def _projection_head(config: PretrainConfig) -> ProjectionHead:
    return ProjectionHead(
        config.projection_dim,
        config.projection_layers,
        config.projection_hidden_dim,
        normalization="none" if config.normalization == "frozen" else config.normalization,
    )


def build_optimizer(config: PretrainConfig, schedule: WarmupCosine, variables):
    """The run's optimizer, with its weight decay or the optimizer's default."""
    decay = config.weight_decay
    decay = WEIGHT_DECAYS[config.optimizer] if decay is None else decay
    return make_optimizer(config.optimizer, schedule, decay, variables)


def networks_for_inference(
    config: PretrainConfig, model: SimCLR, source
) -> tuple[keras.Model, ProjectionHead]:
    """Copies of the trained encoder and projection head, in float32 and outside the strategy."""
    encoder = _encoder(config, source, log_changes=False)
    projection_head = _projection_head(config)
    projection_head.build(encoder.output_shape)
    for network, trained in (
        (encoder, model.encoder),
        (projection_head, model.projection_head),
    ):
        network.set_weights(trained.get_weights())
    return encoder, projection_head
