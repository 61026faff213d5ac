"""`start_summary`: what a pretraining run is about to do, in a few lines."""

import collections
import os

import numpy as np
import tensorflow as tf

from ..data.sources import ImageSource
from ..keras_versions import optimizer_variables
from ..objective.nt_xent import collapsed_loss
from ..training.defaults import LEARNING_RATES
from ..training.memory import activation_memory
from ..training.schedules import WarmupCosine
from ..training.simclr import SimCLR
from .initial_weights import InitialWeights
from .pretrain_config import PretrainConfig

_SLOW_DAYS = 2.0
_FEW_STEPS = 200
_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight"}
_SMALLER = (
    "choose a smaller network and smaller views, such as those of `preset=small-images`: "
    "simclr_resnet18 with a `width_multiplier` of 0.25 at 32 pixels"
)


def start_summary(
    config: PretrainConfig,
    source: ImageSource,
    held_out: ImageSource | None,
    model: SimCLR,
    schedule: WarmupCosine,
    steps_per_epoch: int,
    total_steps: int | None,
    first_step: int,
    initial: InitialWeights | None = None,
) -> str:
    """What the run trains, on what, for how long, and with what learning rate.

    Args:
        config: The run's settings.
        source: The images that it trains on.
        held_out: Those that it must not see.
        model: The compiled model.
        schedule: The learning-rate schedule.
        steps_per_epoch: Steps in one pass over the data.
        total_steps: Steps of the run; `None` if they are chosen for a budget later.
        first_step: The step to begin at.
        initial: Weights that were copied into the networks.
    """
    classes = len(source.class_names)
    rows = {
        "Images": f"{len(source):,} of {config.dataset}"
        + (f", {classes} classes (labels are not used)" if source.has_labels else "")
        + (f"; {len(held_out):,} held out" if held_out else ""),
        "Encoder": f"{config.encoder}, {_million(model.encoder)} parameters, "
        f"{model.encoder.output_shape[-1]} features; projection head "
        f"{_million(model.projection_head)}",
        "Weights": "" if first_step else _weights(config, model, initial),
        "Views": _views(config),
        "Batch": f"{config.batch_size} images: {config.views * (config.batch_size - 1)} negatives "
        f"for each view; a collapsed encoder has a loss of "
        f"{collapsed_loss(config.batch_size, config.loss == 'decoupled', config.views):.3f}",
        "Length": _length(config, steps_per_epoch, total_steps, first_step),
        "Optimizer": f"{config.optimizer}, peak learning rate {schedule.peak_learning_rate:.4g} "
        f"({_origin_of_rate(config)}), warm-up {config.warmup_fraction:.0%}",
        "Precision": _precision(model.encoder),
        "Devices": _devices(model.distribute_strategy),
        "Memory": _memory(config, model),
        "Settings": _settings(config),
        "Run": config.run_dir,
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items() if text)


def slow_advice(seconds: float) -> str | None:
    """What to say of a run that takes days on a processor; `None` if there is nothing to say."""
    if tf.config.list_physical_devices("GPU") or seconds < _SLOW_DAYS * 86_400:
        return None
    return (
        f"This run would take {seconds / 86_400:.0f} days on this processor. Give it the time that "
        f"you have with `minutes`, and {_SMALLER}."
    )


def short_advice(total_steps: int) -> str | None:
    """What to say if few steps fit into a budget; `None` if there is nothing to say."""
    if total_steps >= _FEW_STEPS:
        return None
    return (
        f"{total_steps} steps are too few to learn much. Raise `minutes`, or lower `batch_size`, or "
        f"{_SMALLER}."
    )


def _million(network) -> str:
    return f"{network.count_params() / 1e6:.3g} M"


def _weights(config: PretrainConfig, model: SimCLR, initial: InitialWeights | None) -> str:
    """What the run starts from; empty for random weights."""
    random_head = "the projection head starts from random weights"
    if initial is None:
        return f"{config.weights} in the encoder; {random_head}" if config.weights else ""
    if initial.fit_projection_head(model.projection_head):
        return f"encoder and projection head of {initial.origin}"
    return f"encoder of {initial.origin}; {random_head}"


def _views(config: PretrainConfig) -> str:
    operations = {
        f"crops of {config.crop_area_min:.0%} to 100%": True,
        "flip": config.flip,
        "vertical flip": config.vertical_flip,
        "quarter turns": config.quarter_turns,
        f"colour jitter {config.color_jitter_strength:g}": config.color_jitter_strength,
        f"grayscale {config.grayscale_probability:.0%}": config.grayscale_probability,
        "blur": config.blur,
        f"solarize {config.solarize_probability:.0%}": config.solarize_probability,
    }
    parts = [text for text, is_used in operations.items() if is_used]
    number = _NUMBERS.get(config.views, str(config.views))
    size = f"{config.image_size} x {config.image_size} pixels"
    if config.sizes:
        grown = ", ".join(f"{each} from {start:.0%} on" for each, start in config.sizes.starts)
        size = f"growing size, in pixels {grown}"
    return f"{number} of {size}: {', '.join(parts)}"


def _length(
    config: PretrainConfig, steps_per_epoch: int, total_steps: int | None, first_step: int
) -> str:
    if total_steps is None:
        return f"as many steps as fit into {config.minutes:g} minutes; a few are timed first"
    begun = f"; continuing at step {first_step:,}" if first_step else ""
    epochs = total_steps / steps_per_epoch
    return f"{total_steps:,} steps, {epochs:.3g} epochs of {steps_per_epoch:,}{begun}"


def _origin_of_rate(config: PretrainConfig) -> str:
    if config.learning_rate is not None:
        return config.sources.get("learning_rate", "given")
    bases, rule = LEARNING_RATES["pretrain"][config.optimizer], config.learning_rate_scaling
    base, origin = config.base_learning_rate, config.sources.get("base_learning_rate", "given")
    if base is None:
        if "constant" in bases:
            return "default"
        base, origin = bases[rule], "default"
    growth = "sqrt(batch)" if rule == "sqrt" else "batch / 256"
    return f"{origin}: {base:.4g} * {growth}"


def _settings(config: PretrainConfig) -> str:
    """Where settings come from, beside defaults; empty if all others were given one by one."""
    origins = collections.Counter(config.sources.values())
    if set(origins) <= {"given"}:
        return ""
    return ", ".join(f"{count} {origin}" for origin, count in origins.items())


def _devices(strategy: tf.distribute.Strategy) -> str:
    gpus = tf.config.list_physical_devices("GPU")
    kind = f"{len(gpus)} GPU" if gpus else f"processor with {os.cpu_count()} cores"
    count = strategy.num_replicas_in_sync
    return f"{kind}; {count} replicas" if count > 1 else kind


def _precision(encoder) -> str:
    dtype = encoder.compute_dtype
    return dtype if dtype == "float32" else f"{dtype}, with weights in {encoder.variable_dtype}"


def _memory(config: PretrainConfig, model: SimCLR) -> str:
    weights = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    state = sum(int(np.prod(v.shape)) for v in optimizer_variables(model.optimizer))
    numbers = 2 * weights + state  # with gradients
    replicas = model.distribute_strategy.num_replicas_in_sync
    images = config.views * (config.micro_batch_size or config.batch_size) // replicas
    activations = activation_memory(model.encoder, config.image_size, images)
    return (
        f"{numbers * 4 / 2**20:,.0f} MB for weights, gradients and optimizer, about "
        f"{activations / 2**20:,.0f} MB for activations{' of each replica' * (replicas > 1)}"
    )
