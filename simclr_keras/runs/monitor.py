"""`Monitor`: measures a run while it trains, and says so if something is wrong."""

import logging
import typing
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from ..data.images import to_unit_range
from ..data.sources import ImageSource
from ..distribution.strategy import local_replicas
from ..errors import InputError
from ..evaluation.geometry import alignment, effective_rank, uniformity
from ..evaluation.knn import knn_accuracy
from ..objective.contrast import contrast
from ..objective.nt_xent import NTXentLoss, collapsed_loss
from ..training.diagnosis import Circumstances, Diagnosis, Measured, patience_of
from ..training.measurement import PART_NAMES, Measurement, comparison
from ..training.run_rows import RunRows
from ..training.schedules import WarmupCosine
from ..training.simclr import SimCLR
from .directory import RunDirectory
from .monitored_images import (
    MonitoredImages,
    held_out_part,
    load_monitored,
    local_views,
    work_share,
)
from .pretrain_config import PretrainConfig

_LOGGER = logging.getLogger("simclr_keras")
_NEIGHBOURS, _KNN_TEMPERATURE = 20, 0.1
_PASS = 256  # most images in a forward pass of a replica


class Monitor(keras.callbacks.Callback):
    """Measures fixed images before the first step and at the end of every interval.

    Neither weights nor batch-norm statistics nor random numbers of the run change. Only the
    replicas of this process take part, without communication, so that one of several workers may
    have a monitor. Must come after the history, and before the checkpoints.

    Args:
        images: What to measure; `None` to go by what training logs alone.
        rows: For the measurements.
        history: What training logs.
        diagnosis: Finds what is wrong.
    """

    def __init__(
        self,
        images: MonitoredImages | None,
        rows: RunRows,
        history: RunRows,
        diagnosis: Diagnosis,
    ):
        super().__init__()
        self._images, self._rows, self._history = images, rows, history
        self._diagnosis = diagnosis
        self._encode: Callable | None = None
        self._features: np.ndarray | None = None
        self.measurements: list[Measurement] = []

    @property
    def images(self) -> MonitoredImages | None:
        """What is measured; `None` if nothing is."""
        return self._images

    def features(self, model: SimCLR) -> np.ndarray:
        """The features `(P, D)` of `images` as they were measured last, or of the model now."""
        if self._features is None and self._images is not None:
            self._features, _ = encoding(model)(self._images.pixels)
        return typing.cast(np.ndarray, self._features)

    @property
    def repeated_images(self) -> float:
        """Share of the images that occur more than once."""
        return self._images.repeated if self._images else 0.0

    @property
    def summary(self) -> dict[str, typing.Any]:
        """Fields of `PretrainResult`."""
        return {**first_and_last(self.measurements), "findings": self._diagnosis.findings}

    def conclude(self) -> None:
        """Logs what has changed since the first step, and what is wrong at the end."""
        if len(self.measurements) > 1:
            _LOGGER.info(comparison(self.measurements[0], self.measurements[-1]))
        for finding in self._diagnosis.findings:
            _LOGGER.warning("At the end of the run: %s", finding.text)

    def begin(self, step: int) -> None:
        """Reads the rows up to a step, and drops those after it."""
        self.measurements = [Measurement.from_row(row) for row in self._rows.keep_until(step)]
        rows = measured_rows(self._history.read(), self.measurements)
        self._diagnosis.begin(row for row in rows if row.step <= step)

    def on_train_begin(self, logs=None):
        self.begin(self.model.steps_made)
        if not self.model.steps_made and not self.measurements:
            self._note(None)

    def on_epoch_end(self, epoch, logs=None):
        self._note(logs)
        if self._images is not None and logs is not None:
            numbers = self.measurements[-1].numbers
            best = "knn_accuracy" if "knn_accuracy" in numbers else "retrieval"
            for name in (best, "effective_rank"):
                logs[f"{self._images.part}_{name}"] = numbers[name]

    def _note(self, logs: dict | None) -> None:
        measurement, step = None, self.model.steps_made
        if self._images is not None:
            measurement = measure(self._images, self.model, self._encoded)
            self.measurements.append(measurement)
            self._rows.append(step, measurement.numbers, prefix=f"{measurement.part}_")
        for finding in self._diagnosis.add(Measured.of(step, logs, measurement)):
            _LOGGER.warning("Step %d: %s", step, finding.text)

    def _encoded(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and projections, of which the features are kept."""
        self._encode = self._encode or encoding(self.model)
        self._features, projections = self._encode(pixels)
        return self._features, projections


def first_and_last(measurements: list[Measurement]) -> dict[str, typing.Any]:
    """The fields of `PretrainResult` that hold measurements."""
    first, last = (measurements[0], measurements[-1]) if measurements else (None, None)
    return {"first_measurement": first, "last_measurement": last}


def measured_rows(
    history: Sequence[Mapping[str, str]], measurements: Sequence[Measurement]
) -> list[Measured]:
    """What is known at each step, for a `Diagnosis`.

    Args:
        history: Rows of `history.csv`.
        measurements: Those of `monitor.csv`.
    """
    trained = {int(row["step"]): row for row in history}
    measured = {each.step: each for each in measurements}
    return [
        Measured.of(at, trained.get(at), measured.get(at))
        for at in sorted({*measured, *trained})
    ]


def circumstances(
    config: PretrainConfig, schedule: WarmupCosine, repeated: float
) -> Circumstances:
    """What the numbers of a run must be compared with.

    Args:
        config: The run's settings.
        schedule: The learning-rate schedule.
        repeated: Share of the images that occur more than once.
    """
    return Circumstances(
        config.batch_size,
        collapsed_loss(config.batch_size, config.loss == "decoupled", config.views),
        config.temperature,
        schedule.peak_learning_rate,
        schedule.warmup_steps,
        schedule.total_steps,
        patience_of(schedule.warmup_steps, schedule.total_steps),
        repeated,
    )


def encoding(model: SimCLR) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """What encodes images in inference mode on the replicas of this process.

    Args:
        model: The model, built.

    Returns:
        A function from uint8 images `(P, S, S, C)` to float32 features `(P, D)` and projections
        `(P, K)`.
    """
    strategy = model.distribute_strategy
    count = local_replicas(strategy)

    def forward(images):
        features = model.encoder(to_unit_range(images), training=False)
        projections = model.projection_head(features, training=False)
        return tf.cast(features, tf.float32), tf.cast(projections, tf.float32)

    # In replica context, so that each replica reads its own copy of the variables.
    run = tf.function(lambda images: strategy.run(forward, (images,)))

    def encode(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = min(_PASS, -(-len(pixels) // count))
        found: list[tuple] = []
        for first in range(0, len(pixels), size * count):
            # All passes have one shape, and are traced once: the last one begins anew.
            rows = np.arange(first, first + size * count) % len(pixels)
            parts = np.split(pixels[rows], count)
            values = strategy.experimental_distribute_values_from_function(
                lambda context, parts=parts: tf.constant(
                    parts[context.replica_id_in_sync_group % count]
                )
            )
            found += zip(*map(strategy.experimental_local_results, run(values)))
        features, projections = (np.concatenate(part)[: len(pixels)] for part in zip(*found))
        return features, projections

    return encode


def measure(images: MonitoredImages, model: SimCLR, encode: Callable) -> Measurement:
    """All measures of the model as it is.

    Args:
        images: The images.
        model: The model, whose loss is measured.
        encode: What `encoding` returned.
    """
    features, projections = encode(images.pixels)
    pairs = images.sizes.pairs
    first, second, rest = np.split(features, [pairs, 2 * pairs])
    # The projections of kNN's images are not needed.
    first_projections, second_projections, _ = np.split(projections, [pairs, 2 * pairs])
    loss = typing.cast(NTXentLoss, model.contrastive_loss)  # of every run
    contrasted = contrast(
        first_projections, second_projections, loss.temperature, loss.decoupled
    )
    # The temperature does not change which view is the nearest.
    retrieved = contrast(first, second, temperature=1.0).accuracy
    knn = None
    if images.sizes.queries:
        queries, neighbours = np.split(rest, [images.sizes.queries])
        knn = knn_accuracy(
            neighbours,
            images.neighbour_labels,
            queries,
            images.query_labels,
            _NEIGHBOURS,
            _KNN_TEMPERATURE,
        )
    return Measurement(
        step=model.steps_made,
        part=images.part,
        images=pairs,
        loss=float(tf.reduce_mean(contrasted.losses)),
        contrastive_accuracy=float(tf.reduce_mean(contrasted.accuracy)),
        retrieval=float(tf.reduce_mean(retrieved)),
        alignment=alignment(first, second),
        uniformity=uniformity(first),
        effective_rank=effective_rank(first),
        knn_accuracy=knn,
    )


def run_monitor(
    config: PretrainConfig,
    directory: RunDirectory,
    history: RunRows,
    parts: tuple[ImageSource, ImageSource | None],
    model: SimCLR,
    schedule: WarmupCosine,
    interval: int,
) -> Monitor:
    """The monitor of a run, for the process that writes its files.

    Args:
        config: The run's settings.
        directory: Its directory.
        history: What training logs.
        parts: The images that it trains on, and those that it holds out; `None` for none.
        model: The model, compiled.
        schedule: The learning-rate schedule.
        interval: Steps between measurements.
    """
    source, held_out = parts
    strategy = model.distribute_strategy
    try:
        held_out = held_out_part(config, held_out)
        images = load_monitored(config, source, held_out, interval, strategy)
    # A broken file, which training may not see.
    except (InputError, tf.errors.OpError) as error:
        _LOGGER.warning("Nothing is measured while training: %s", str(error).splitlines()[0])
        images = None
    else:
        _LOGGER.info(_announcement(images, interval, local_views(config, strategy)))
    part = "training_images" if images is None else images.part
    monitor = Monitor(
        images,
        # A folder of its own: TensorBoard shows it beside training, in the same charts.
        RunRows(directory.monitor_file, directory.tensorboard / part),
        history,
        Diagnosis(circumstances(config, schedule, images.repeated if images else 0.0)),
    )
    monitor.begin(model.steps_made)  # all steps may have been made before
    return monitor


def _announcement(images: MonitoredImages | None, interval: int, views: int) -> str:
    if images is None:
        return (
            f"Nothing is measured while training: there are too few images, or {interval} steps of "
            f"{views} views are too little work for a fiftieth of it to measure anything. Longer "
            "intervals (`checkpoint_every`) leave more."
        )
    sizes = images.sizes
    knn = (
        f"; kNN of {sizes.queries} of them among {sizes.neighbours} training images"
        if sizes.queries
        else ""
    )
    share = work_share(sizes, views, interval)
    return (
        f"Measured every {interval} steps, for {share:.1%} of the work: views of {sizes.pairs} "
        f"{PART_NAMES[images.part]}{knn}."
    )
