"""`fit_in_intervals`: the loop of `fit` that pretraining and the training of classifiers share."""

import contextlib
import typing
from collections.abc import Callable, Iterator

import tensorflow as tf

from ..data.sources import ImageSource
from ..distribution.strategy import distribute_rows, is_chief, local_replicas
from ..distribution.workers import lost_worker, lost_worker_failure
from ..errors import RunFailure, printable
from .input_wait import InputWait
from .length import Length
from .show_progress import ShowProgress
from .step_model import StepModel

_MANY_STEPS = 10**6
_OF_READING = (
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.FailedPreconditionError,
    tf.errors.DataLossError,
    tf.errors.UnknownError,
)


def fit_in_intervals(
    model: StepModel,
    source: ImageSource,
    batches_of: Callable[..., tf.data.Dataset],
    batch_size: int,
    length: Length,
    interval: int,
    callbacks: list,
    title: str,
    begin: Callable[[int], int | None] = lambda first: None,
    recover: Callable[[int], bool] = lambda step: False,
    **shown: typing.Any,
) -> dict[str, float] | None:
    """Trains a compiled model from the step where it is; each interval is an epoch of Keras.

    Intervals end at multiples of their length, wherever training begins: an interrupted one is
    completed first.

    Args:
        model: The model.
        source: The images that `batches_of` reads.
        batches_of: (first_step, num_steps, first_position, rows) -> batches, as those of
            `pretraining_dataset`.
        batch_size: N, images per step over all replicas.
        length: Steps of the whole run. A callback that changes them in `on_epoch_end` must set
            `model.stop_training` too.
        interval: Steps between calls of the callbacks' `on_epoch_end`.
        callbacks: Keras callbacks; one may set `model.stop_training`. The number of an epoch is that
            of the interval in the whole run.
        title: What is trained, for people.
        begin: Called with the first step of each `fit`; returns the step at which it must end at the
            latest, a multiple of the interval, because something then changes; or `None`.
        recover: Called with a step that failed, see `TrainingImages`; whether to try it again.
        **shown: Of `ShowProgress`.

    Returns:
        The logs of the last interval; `None` if there was nothing left to do.

    Raises:
        RunFailure: If a worker is lost, or an image cannot be read.
    """
    strategy, logs = model.distribute_strategy, None
    wait = InputWait() if strategy.num_replicas_in_sync == 1 else None
    with _shown(strategy, title, batch_size, length, wait, **shown) as progress:
        while (first := model.steps_made) < (planned := length.steps):
            end = min(begin(first) or planned, planned)
            # To the end of this interval; or all whole intervals, or the rest, in one `fit`.
            steps = min(interval - first % interval, end - first)
            count = (end - first) // interval if steps == interval else 1
            if first % interval:
                model.continue_means()

            def rows_of(first_position, rows, first=first, end=first + steps * count):
                batches = batches_of(first, end, first_position=first_position, rows=rows)
                return wait.timed(batches) if wait else batches

            # `fit` would shard by file or element; these batches are global and split by rows.
            batches = distribute_rows(strategy, batch_size, rows_of)
            done = first // interval
            epochs = range(done, done + count)
            history = _fit(
                model, source, batches, epochs, steps, [*callbacks, *progress], recover
            )
            if history is None:
                continue
            logs = {name: values[-1] for name, values in history.items()}
            if model.stop_training and length.steps == planned:
                break
    return logs


def fit_first_steps(
    model: StepModel,
    source: ImageSource,
    batches_of: Callable[..., tf.data.Dataset],
    batch_size: int,
    callbacks: list,
    recover: Callable[[int], bool] = lambda step: False,
) -> None:
    """Trains from the first step until a callback sets `model.stop_training`, to time the steps.

    Takes the same arguments as `fit_in_intervals`, and traces nothing that it would not.
    """

    def rows_of(first_position, rows):
        first = model.steps_made
        return batches_of(first, _MANY_STEPS, first_position=first_position, rows=rows)

    strategy, history = model.distribute_strategy, None
    with _shown(strategy, "Timing a few steps", batch_size, None) as progress:
        while history is None:
            batches = distribute_rows(strategy, batch_size, rows_of)
            shown = [*callbacks, *progress]
            history = _fit(model, source, batches, range(1), _MANY_STEPS, shown, recover)


@contextlib.contextmanager
def _shown(strategy, *arguments, **options) -> Iterator[list[ShowProgress]]:
    """The callback that shows progress; none on workers but the chief, which speaks for all."""
    if not is_chief(strategy):
        yield []
        return
    with ShowProgress(*arguments, **options) as progress:
        yield [progress]


def _fit(
    model, source, batches, epochs: range, steps: int, callbacks: list, recover
) -> dict[str, list] | None:
    """Calls `fit`; errors of TensorFlow that a person can do something about say what.

    Returns:
        What Keras logged; `None` if the step that failed can be tried again.
    """
    try:
        return model.fit(
            batches,
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,
        ).history
    except tf.errors.OpError as error:
        strategy = model.distribute_strategy
        is_of_reading = isinstance(error, _OF_READING) and not lost_worker(strategy, error)
        # Several workers would have to agree on it.
        is_alone = local_replicas(strategy) == strategy.num_replicas_in_sync
        if is_of_reading and is_alone and recover(model.steps_made):
            return None
        failure = _explained(error, model, source)
        if failure is None:
            raise
        raise failure from error


def _explained(
    error: tf.errors.OpError, model: StepModel, source: ImageSource
) -> RunFailure | None:
    """The failure behind an error: a lost worker or an unreadable image; `None` if neither."""
    if lost_worker(model.distribute_strategy, error):
        return lost_worker_failure(f"after step {model.steps_made}", error)
    if not isinstance(error, _OF_READING):
        return None
    broken = source.find_unreadable()
    if not broken:
        return None
    index, reason = next(iter(broken.items()))
    return RunFailure(
        f"{len(broken)} of {len(source)} images cannot be read, for example "
        f"{printable(source.name_of(index))} ({reason}). Restore or remove them, and begin a new run."
    )
