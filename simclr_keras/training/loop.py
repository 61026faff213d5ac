"""`fit_in_intervals`: the loop of `fit` that pretraining and the training of classifiers share."""

from collections.abc import Callable

import tensorflow as tf

from ..data.sources import ImageSource
from ..distribution.strategy import distribute_rows
from ..distribution.workers import lost_worker, lost_worker_failure
from ..errors import RunFailure
from .step_model import StepModel


def fit_in_intervals(
    model: StepModel,
    source: ImageSource,
    batches_of: Callable[..., tf.data.Dataset],
    batch_size: int,
    total_steps: int,
    interval: int,
    callbacks: list,
) -> dict[str, float] | None:
    """Trains a compiled model from the step where it is; each interval is an epoch of Keras.

    Args:
        model: The model.
        source: The images that `batches_of` reads.
        batches_of: (first_step, num_steps, first_position, rows) -> batches, as those of
            `pretraining_dataset`.
        batch_size: N, images per step over all replicas.
        total_steps: Steps of the whole run.
        interval: Steps between calls of the callbacks' `on_epoch_end`.
        callbacks: Keras callbacks; one may set `model.stop_training`.

    Returns:
        The logs of the last interval; `None` if there was nothing left to do.

    Raises:
        RunFailure: If a worker is lost, or an image cannot be read.
    """
    strategy, logs = model.distribute_strategy, None
    # One call of `fit` for all whole intervals, a second for the remaining steps.
    for steps in (interval, total_steps % interval):
        first = model.steps_made
        count = (total_steps - first) // steps if steps else 0
        if not count:
            continue

        def rows_of(first_position, rows, first=first, end=first + steps * count):
            return batches_of(first, end, first_position=first_position, rows=rows)

        try:
            # `fit` would shard by file or element; these batches are global and split by rows.
            history = model.fit(
                distribute_rows(strategy, batch_size, rows_of),
                epochs=count,
                steps_per_epoch=steps,
                callbacks=callbacks,
                verbose=0,
                shuffle=False,
            ).history
        except tf.errors.OpError as error:
            failure = _explained(error, model, source)
            if failure is None:
                raise
            raise failure from error
        logs = {name: values[-1] for name, values in history.items()}
        if model.stop_training:
            break
    return logs


def _explained(
    error: tf.errors.OpError, model: StepModel, source: ImageSource
) -> RunFailure | None:
    """The failure behind an error: a lost worker or an unreadable image; `None` if neither."""
    if lost_worker(model.distribute_strategy, error):
        return lost_worker_failure(f"after step {model.steps_made}", error)
    if not isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
        return None
    broken = source.find_unreadable()
    if not broken:
        return None
    path, reason = broken[0]
    return RunFailure(
        f"{len(broken)} of {len(source)} images cannot be read, for example {path} ({reason}). "
        "Remove them, or set `skip_unreadable`, and begin a new run."
    )
