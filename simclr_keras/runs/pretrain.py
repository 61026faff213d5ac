"""`pretrain`: from settings to a finished run directory."""

import functools
import logging
import tempfile
import time
import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np

from ..data.bad_images import BadImages, TrainingImages
from ..data.datasets import check_batch
from ..data.sources import ImageSource
from ..distribution.strategy import check_divides, choose_strategy, is_chief
from ..distribution.workers import check_agreement, largest_of_workers, leave_together
from ..files import remove_unfinished
from ..local_copies import send, with_local_copies
from ..networks.choose_precision import choose_precision
from ..networks.precision import precision
from ..progress import progress_shown
from ..seeds import seed_of_32_bits
from ..settings import MixedPrecision, choices_of
from ..training.budget import Budget, KeepToBudget
from ..training.callbacks import (
    RunHistory,
    SaveCheckpoints,
    StopOnNonFiniteLoss,
)
from ..training.checkpoints import Checkpoints
from ..training.defaults import LEARNING_RATES
from ..training.length import Length
from ..training.loop import fit_first_steps, fit_in_intervals
from ..training.measurement import Measurement
from ..training.own_callbacks import OwnCallbacks
from ..training.profile import ProfileSteps
from ..training.run_rows import RunRows, read_history
from ..training.signals import StopSignals
from .directory import RunDirectory, deciding_settings
from .environment import environment
from .file_sizes import FileSizes
from .growing_views import GrowingViews
from .initial_weights import load_initial_weights
from .length import run_length
from .load_on_workers import load_on_workers
from .monitor import first_and_last, run_monitor
from .monitored_images import views_at
from .pretrain_config import PretrainConfig
from .pretrain_result import PretrainResult
from .pretraining import (
    build_augmenter,
    build_model,
    build_optimizer,
    learning_rate_schedule,
    networks_for_inference,
    training_batches,
)
from .report_page import refresh_page
from .report_pictures import missing_pictures, pictures_at_end
from .run_images import changed_meanwhile, check_images, image_sizes
from .run_lock import RunLock
from .run_source import training_parts
from .summary import short_advice, slow_advice, start_summary
from .tensorboard_pictures import VIEWS_SHOWN, TensorBoardPictures

_LOGGER = logging.getLogger("simclr_keras")
_INTERVALS_OF_BUDGET = 10  # at least
_AGREE_EVERY = 10  # steps between questions whether any worker was asked to stop


@progress_shown()
@with_local_copies
def pretrain(
    config: PretrainConfig, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> PretrainResult:
    """Pretrains an encoder without labels into a run directory; continues an unfinished run.

    A continued run ends with the same weights as an uninterrupted one: data order and views are
    functions of (seed, step), and everything else is in the checkpoint.

    Progress, a line per interval, goes to the logger `simclr_keras`: to standard error unless
    the program has set up logging. `logging.getLogger("simclr_keras").setLevel("WARNING")`
    silences it.

    Args:
        config: The settings.
        callbacks: Keras callbacks, such as loggers, which cannot change the run's result unless
            they change the model. What Keras calls an epoch is an interval of the run, and the logs
            of `on_epoch_end` also hold `step` and what was measured; a resumed run goes on counting.
            With several workers only the one that writes the run's files calls them.

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
    budget = Budget(config.minutes or 0.0)  # from the start of this function on
    directory = RunDirectory(config.run_dir, to_train=True)
    directory.check(config)
    with RunLock(directory.path) as lock:
        return _pretrain(config, budget, directory, lock, OwnCallbacks(callbacks))


def _pretrain(
    config: PretrainConfig,
    budget: Budget,
    directory: RunDirectory,
    lock: RunLock,
    own_callbacks: OwnCallbacks,
) -> PretrainResult:
    strategy = choose_strategy(config.strategy)  # with several workers: before any other op
    chief = is_chief(strategy)  # the others write nothing into the run directory
    if chief and directory.is_begun:
        lock.hold()
        remove_unfinished(directory.checkpoints, after=0)  # large, and no other process writes
    source, held_out = load_on_workers(strategy, lambda: training_parts(config, directory))
    sizes, began = image_sizes(source), time.time()
    check_images(directory, sizes, config.dataset)
    if config.steps == 0 and not directory.is_begun:
        if chief:
            lock.hold()
            _keep_weights(config, directory, source, held_out, sizes)
        page = refresh_page(directory) if chief else None
        return PretrainResult(config.run_dir, 0, 0, None, page=page)
    check_batch(config.batch_size, source)
    steps_per_epoch = len(source) // config.batch_size
    total_steps = run_length(config, directory, steps_per_epoch)
    begun_steps = directory.read_total_steps(steps_per_epoch)
    if total_steps is not None and total_steps == begun_steps and directory.is_finished:
        if chief:
            directory.begin(config)  # remembers where the images are now
        _LOGGER.info("The run in %s is finished: nothing to do.", config.run_dir)
        measurements = [
            Measurement.from_row(row) for row in read_history(directory.monitor_file)
        ]
        pictures = missing_pictures(config, directory, (source, held_out), total_steps)
        return PretrainResult(
            config.run_dir,
            total_steps,
            total_steps,
            None,
            **first_and_last(measurements),
            page=refresh_page(directory, pictures) if chief else None,
        )
    check_divides(config.batch_size, strategy, config.micro_batch_size)
    largest = largest_of_workers(strategy)
    computed_in = _precision_of(config, directory, largest)
    keras.utils.set_random_seed(seed_of_32_bits(config.seed))
    initial = None  # a run that goes on has weights of its own
    if not Checkpoints.exist(directory.checkpoints):
        directory.check_nothing_is_lost()
        initial = load_initial_weights(config.weights)
    with (
        budget.repeated_at_the_end(),
        precision(computed_in),
        strategy.scope(),
    ):
        schedule = learning_rate_schedule(config, total_steps or steps_per_epoch)
        model = build_model(config, source, initial)
        model.compile(optimizer=build_optimizer(config, schedule, model.trainable_variables))
    elsewhere = None if chief else tempfile.TemporaryDirectory(prefix="simclr_keras_worker_")
    checkpoints = Checkpoints(
        model, directory.checkpoints, write_to=elsewhere.name if elsewhere else None
    )
    first_step = checkpoints.restore()
    checkpoints.check_space()
    check_agreement(
        strategy, deciding_settings(config), [len(source), total_steps or 0], first_step
    )
    if chief:
        _warn_of_idle_settings(config)
        numbers = steps_per_epoch, total_steps, first_step
        _LOGGER.info(
            start_summary(config, source, held_out, model, schedule, *numbers, initial)
        )
    augmenter = build_augmenter(config)
    bad_images = BadImages(len(source), config.max_bad_fraction)
    images = TrainingImages(
        source,
        lambda source, *steps, **rows: training_batches(
            config, source, augmenter, *steps, **rows
        ),
        config.batch_size,
        config.seed,
        bad_images,
    )
    growing_views = GrowingViews(config.sizes, model, augmenter)

    def interval_of(total_steps: int) -> int:
        interval = min(max(steps_per_epoch, 50), 500)
        if config.minutes:  # its length is adjusted after each
            interval = min(interval, max(total_steps // _INTERVALS_OF_BUDGET, 1))
        interval = directory.read_chosen("interval") or config.checkpoint_every or interval
        return min(interval, total_steps)

    signals = StopSignals()
    keeps_to_budget = total_steps is None
    with signals.noted():
        if total_steps is None:
            total_steps = budget.steps(
                model,
                functools.partial(
                    fit_first_steps,
                    model,
                    source,
                    images.batches,
                    config.batch_size,
                    recover=images.recover,
                ),
                interval_of,
                signals,
                largest,
                config.sizes,
            )
            schedule.set_length(total_steps)
            _LOGGER.info(
                "%d steps (%.3g epochs) fit into %g minutes.",
                total_steps,
                total_steps / steps_per_epoch,
                config.minutes,
            )
            if advice := short_advice(total_steps):
                _LOGGER.warning(advice)
        if chief and begun_steps not in (None, total_steps):
            directory.raise_length(config, total_steps, first_step)
            _LOGGER.info(
                "Raised from %d to %d steps: the rest follows the longer schedule, from a learning "
                "rate of %.4g on.",
                begun_steps,
                total_steps,
                float(schedule(first_step)),
            )
        interval = interval_of(total_steps)
        if chief:
            lock.hold()
            chosen = {"total_steps": total_steps, "interval": interval}
            directory.begin(config, sizes, held_out, **chosen, precision=computed_in)
            send()
        callbacks = [
            StopOnNonFiniteLoss(
                "Lower `learning_rate`, or raise `temperature`; with `mixed_precision=float16` try "
                "bfloat16.",
                learning_rate=schedule,
                checkpoints=checkpoints,
            ),
        ]
        monitor = pictures = None
        if chief:
            history = RunRows(directory.history_file, directory.tensorboard)
            monitor = run_monitor(
                config,
                directory,
                history,
                (source, held_out),
                model,
                schedule,
                interval,
            )
            call = {**environment(), "first_step": first_step}
            directory.keep_call(call, source, held_out, monitor.repeated_images)
            shown = source.subset(np.arange(min(VIEWS_SHOWN, len(source))))
            pictures = TensorBoardPictures(
                directory.tensorboard / "pictures",
                monitor,
                lambda step: bad_images.read(
                    shown, lambda images: views_at(step, images, config, strategy)
                ),
                total_steps,
                source.class_names,
            )
            callbacks += [
                RunHistory(history, config.batch_size, steps_per_epoch, schedule),
                monitor,
                pictures,
                own_callbacks,
            ]
        length = Length(total_steps, config.sizes)
        if keeps_to_budget:
            keep = directory.keep_length if chief else lambda steps: None
            callbacks += [KeepToBudget(budget, length, schedule, keep, largest)]
        if config.profile:
            callbacks += [ProfileSteps()]
        agree_every = 1 if largest is list else _AGREE_EVERY
        callbacks += [SaveCheckpoints(checkpoints, signals, largest, agree_every)]
        logs = fit_in_intervals(
            model,
            source,
            images.batches,
            config.batch_size,
            length,
            interval,
            callbacks,
            "Pretraining",
            lambda first: growing_views.begin(first, interval, length),
            images.recover,
            advise=slow_advice,
        )
        total_steps = model.steps_made  # a callback may have ended the run
        if monitor and pictures:
            monitor.conclude()
            pictures.conclude(model)
        bad_images.conclude()
        if chief and (changes := changed_meanwhile(source, held_out, sizes, began)):
            _LOGGER.warning(
                "The images changed while the run went on: %s. It used each as it was when read, and "
                "those with which it began.",
                changes,
            )
        networks = networks_for_inference(config, model, source)  # variables of all workers
        if chief:
            directory.save_networks(*networks)
            own_callbacks.conclude()
        leave_together(strategy, chief)
    page = None
    if chief:
        parts = source, held_out
        page = refresh_page(
            directory, lambda: pictures_at_end(config, parts, networks[0], total_steps)
        )
    return PretrainResult(
        config.run_dir,
        total_steps,
        first_step,
        logs["loss"] if logs else None,
        unreadable=bad_images.reasons or None,
        **(monitor.summary if monitor else {}),
        page=page,
    )


def _keep_weights(
    config: PretrainConfig,
    directory: RunDirectory,
    source: ImageSource,
    held_out: ImageSource | None,
    sizes: FileSizes | None,
) -> None:
    """Makes a run of no step, so that the commands on runs can use networks as they are."""
    initial = load_initial_weights(config.weights)
    model = build_model(config, source, initial)
    encoder, head = networks_for_inference(config, model, source)
    directory.begin(config, sizes, held_out, total_steps=0)
    directory.keep_call(environment(), source, held_out)
    has_head = initial is not None and initial.fit_projection_head(head)
    directory.save_networks(encoder, head if has_head else None)
    _LOGGER.info(
        "A run of the weights of %s, without training%s.",
        initial.origin if initial else config.weights,
        "" if has_head else " and without a projection head",
    )


def _precision_of(
    config: PretrainConfig,
    directory: RunDirectory,
    largest_of_workers: Callable[[list[int]], list[int]],
) -> MixedPrecision:
    """What the networks compute in; a run that was begun keeps what it chose."""
    if config.mixed_precision != "auto":
        return config.mixed_precision
    if (kept := directory.read_chosen("precision")) is not None:
        return kept
    fastest, reason = choose_precision()
    names = choices_of(MixedPrecision)  # the first, float32, is what all workers can compute in
    (place,) = largest_of_workers([-names.index(fastest)])
    chosen = typing.cast(MixedPrecision, names[-place])
    _LOGGER.info("Precision: %s (%s).", "float32" if chosen == "none" else chosen, reason)
    return chosen


def _warn_of_idle_settings(config: PretrainConfig) -> None:
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
