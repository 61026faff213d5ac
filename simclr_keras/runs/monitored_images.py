"""`MonitoredImages`: the fixed images and views on which a run is measured while it trains."""

import collections
import dataclasses
import hashlib
import math
import typing

import numpy as np
import tensorflow as tf

from ..data.bad_images import BadImages
from ..data.datasets import evaluation_dataset, folder_path, is_folder
from ..data.folders import folder_has_test_part
from ..data.sources import ImageSource
from ..distribution.strategy import local_replicas
from ..seeds import generator
from ..training.measurement import Part
from .pretrain_config import PretrainConfig
from .pretraining import build_augmenter, training_batches
from .run_source import run_source

# Training on a view, forward and backward, is three times the work of encoding an image.
_PASSES_PER_VIEW = 3
_SHARE = 0.02  # of the work of an interval
_LEAST_IMAGES = 16
_MOST_PAIRS, _MOST_QUERIES, _MOST_NEIGHBOURS = 1024, 1024, 4096
_MOST_BYTES = 2**28  # of pixels, which are kept: files are decoded once
_STEP = -1  # of the views; training never has it
_STREAM = 3  # of random numbers: not those of the order or of other samples
_READ_AT_ONCE = 256


class Sizes(typing.NamedTuple):
    """How many images are measured: `pairs` with two views, the others, for kNN, without."""

    pairs: int
    queries: int = 0
    neighbours: int = 0


@dataclasses.dataclass(frozen=True)
class MonitoredImages:
    """Images with fixed views, in memory.

    Attributes:
        part: Whether training sees them.
        sizes: Their numbers.
        pixels: uint8 `(P, S, S, C)`: first views, second views, queries, neighbours.
        query_labels: Integers, of the queries.
        neighbour_labels: Integers, of the neighbours.
        repeated: Share of the images that look like another of them, pixel by pixel.
    """

    part: Part
    sizes: Sizes
    pixels: np.ndarray
    query_labels: np.ndarray
    neighbour_labels: np.ndarray
    repeated: float


def held_out_part(config: PretrainConfig, held_out: ImageSource | None) -> ImageSource | None:
    """The images to measure on that training does not see; `None` if there are none at hand.

    Args:
        config: The run's settings.
        held_out: What the run holds out of its own data. Otherwise the data's own test part, if
            it need not be read into memory for this, as that of TFDS data.
    """
    folder = folder_path(config.dataset)
    if held_out is None and (
        config.dataset == "digits"
        or (is_folder(config.dataset) and folder_has_test_part(folder))
    ):
        return run_source(config, "test", labelled=False)
    return held_out


def local_views(config: PretrainConfig, strategy: tf.distribute.Strategy) -> int:
    """Views per step on the devices of this process; of growing views, as many of the last size."""
    views = config.views * config.batch_size * local_replicas(strategy)
    work = config.sizes.work(0.0, 1.0) if config.sizes else 1.0
    return round(work * views) // strategy.num_replicas_in_sync


def work_share(sizes: Sizes, views: int, steps: int) -> float:
    """The work of a measurement, as a share of that of so many training steps."""
    passes = 2 * sizes.pairs + sizes.queries + sizes.neighbours
    return passes / (_PASSES_PER_VIEW * views * steps)


def affordable_passes(views: int, steps: int, image_shape: tuple[int, int, int]) -> int:
    """How many images may be encoded every so many steps, from the settings alone.

    Args:
        views: Views per step, on the devices that measure.
        steps: Steps of an interval.
        image_shape: `(S, S, C)`; all images that are measured are kept in memory.
    """
    passes = int(_SHARE * _PASSES_PER_VIEW * views * steps)
    return min(passes, _MOST_BYTES // math.prod(image_shape))


def choose_sizes(
    passes: int, batch_size: int, images: int, labelled: int = 0, neighbours: int = 0
) -> Sizes | None:
    """How many images are measured.

    Args:
        passes: Images that may be encoded.
        batch_size: N. With as many pairs, the loss can be compared with that of training.
        images: Images that there are to measure.
        labelled: Those of them with labels.
        neighbours: Labelled training images, among which neighbours can be searched.

    Returns:
        The sizes; `None` if there are too few images, or too few may be encoded.
    """
    with_knn = min(labelled, neighbours) >= _LEAST_IMAGES
    pairs = min(batch_size, _MOST_PAIRS, images, passes // (4 if with_knn else 2))
    if pairs < _LEAST_IMAGES:
        return None
    if not with_knn:
        return Sizes(pairs)
    left = passes - 2 * pairs
    queries = min(labelled, _MOST_QUERIES, left // 3)
    return Sizes(pairs, queries, min(neighbours, _MOST_NEIGHBOURS, left - queries))


def load_monitored(
    config: PretrainConfig,
    source: ImageSource,
    held_out: ImageSource | None,
    steps: int,
    strategy: tf.distribute.Strategy,
) -> MonitoredImages | None:
    """Chooses images, reads them and draws their views.

    Args:
        config: The run's settings.
        source: The images that the run trains on.
        held_out: See `held_out_part`; without it, a sample of the training images is measured.
        steps: Steps of an interval.
        strategy: The run's strategy, of which only the replicas of this process measure.

    Returns:
        The images; `None` if nothing can be measured.
    """
    random, measured = generator(config.seed, _STREAM), held_out
    trained = random.permutation(len(source))
    if measured is None:
        measured, chosen = source, trained
        if source.has_labels:  # no image may be its own neighbour
            chosen, trained = np.array_split(trained, 2)
    else:
        chosen = random.permutation(len(measured))
    labels = _labels_as_in(source, measured)
    neighbours = trained[source.labels[trained] >= 0]
    if len(np.unique(source.labels[neighbours])) < 2:
        neighbours = neighbours[:0]
    labelled = chosen[labels[chosen] >= 0]
    shape = (config.image_size, config.image_size, source.channels)
    sizes = choose_sizes(
        affordable_passes(local_views(config, strategy), steps, shape),
        config.batch_size,
        len(chosen),
        len(labelled),
        len(neighbours),
    )
    if sizes is None:
        return None
    pairs = measured.subset(chosen[: sizes.pairs])
    queries, neighbours = labelled[: sizes.queries], neighbours[: sizes.neighbours]
    bad_images = BadImages(len(source) + len(held_out or ()), config.max_bad_fraction)
    views = bad_images.read(pairs, lambda images: views_at(_STEP, images, config, strategy))
    plain = [
        bad_images.read(images, lambda images: _plain(images, config))
        for images in (measured.subset(queries), source.subset(neighbours))
    ]
    return MonitoredImages(
        "training_images" if held_out is None else "held_out",
        sizes,
        np.concatenate([*views, *plain]),
        labels[queries],
        source.labels[neighbours],
        _repeated(
            np.concatenate(plain)
            if sizes.queries
            else bad_images.read(pairs, lambda images: _plain(images, config))
        ),
    )


def _labels_as_in(source: ImageSource, other: ImageSource) -> np.ndarray:
    """The labels of `other`, numbered as in `source`; -1 for none and for other classes."""
    if source.class_names == other.class_names:
        return other.labels
    number_of = {name: number for number, name in enumerate(source.class_names)}
    numbers = [number_of.get(name, -1) for name in other.class_names]
    return np.array([*numbers, -1])[other.labels]  # the last one for -1


def views_at(
    step: int, images: ImageSource, config: PretrainConfig, strategy: tf.distribute.Strategy
) -> list[np.ndarray]:
    """The first and the second views that the run would draw of images at a step.

    Args:
        step: The step; -1 for views that training never has.
        images: M images.
        config: The run's settings.
        strategy: Its strategy.

    Returns:
        uint8 `(M, S, S, C)`, twice.
    """
    count = len(images)
    one_step = dataclasses.replace(config, batch_size=count, probe=False, views=2)
    augmenter = build_augmenter(one_step)
    first_step = max(step, 0)
    (batch,) = training_batches(one_step, images, augmenter, first_step, first_step + 1)
    # In batches of the size that a replica trains on: what is compiled for one serves both.
    at_once = (config.micro_batch_size or config.batch_size) // strategy.num_replicas_in_sync
    views = [
        augmenter(
            tf.gather(batch, np.arange(first, first + at_once) % count),
            seed=(config.seed, step),
            first_position=first,
        )
        for first in range(0, count, at_once)
    ]
    return [_as_bytes(each)[:count] for each in zip(*views)]


def _plain(source: ImageSource, config: PretrainConfig) -> np.ndarray:
    """uint8 `(n, S, S, C)`: the images without augmentation, as in evaluation."""
    if not len(source):
        return np.zeros((0, config.image_size, config.image_size, source.channels), np.uint8)
    return _as_bytes(
        images for images, _ in evaluation_dataset(source, config.image_size, _READ_AT_ONCE)
    )


def _as_bytes(batches) -> np.ndarray:
    return np.concatenate([np.round(np.asarray(x) * 255.0).astype(np.uint8) for x in batches])


def _repeated(images: np.ndarray) -> float:
    """The share of images that occur more than once."""
    keys = [hashlib.sha256(image.tobytes()).digest() for image in images]
    counts = collections.Counter(keys)
    return sum(counts[key] > 1 for key in keys) / len(keys)
