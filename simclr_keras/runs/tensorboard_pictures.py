"""`TensorBoardPictures`: views, histograms and an embedding projector of a run."""

import os
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from ..files import explained_if_full
from ..training.simclr import SimCLR
from .monitor import Monitor
from .projector import MOST_IMAGES, as_pictures, write_projector

VIEWS_SHOWN = 8
_LEAST_STEPS, _TIMES = 50, 10  # at least so many steps apart, about so often in a run
_KERNELS, _NUMBERS = 40, 100_000  # in histograms: kernels, and numbers of each


class TensorBoardPictures(keras.callbacks.Callback):
    """Shows in TensorBoard what a run sees and what becomes of its networks.

    Before the first step and about ten times in the run: views of a few images and histograms of
    features and kernels. At the end, in `conclude`: the files of the embedding projector. Nothing
    of the run changes, and nothing is encoded that the monitor has not encoded. Must come after it.

    Args:
        folder: Of the events; TensorBoard shows it as a run of its name.
        monitor: The monitor of the run.
        views_at: Returns the first and second views at a step, uint8 `(n, S, S, C)` each.
        total_steps: Of the whole run.
        class_names: A name for each label of the monitored images.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        monitor: Monitor,
        views_at: Callable[[int], Sequence[np.ndarray]],
        total_steps: int,
        class_names: Sequence[str],
    ):
        super().__init__()
        self._folder, self._monitor, self._views_at = folder, monitor, views_at
        self._every = max(_LEAST_STEPS, total_steps // _TIMES)
        self._class_names = class_names
        self._shown_at: int | None = None
        self._writer: tf.summary.SummaryWriter | None = None

    def on_train_begin(self, logs=None):
        if self._monitor.images is None or self._shown_at is not None:
            return
        self._shown_at = self.model.steps_made
        if not self.model.steps_made:
            self._show(0)

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.steps_made
        if self._shown_at is not None and step - self._shown_at >= self._every:
            self._show(step)
            self._shown_at = step

    def conclude(self, model: SimCLR) -> None:
        """Writes the files of the embedding projector, if anything is measured."""
        images = self._monitor.images
        if images is None:
            return
        features, pairs = self._monitor.features(model), images.sizes.pairs
        if images.sizes.queries:  # with labels, and without augmentation
            rows = slice(2 * pairs, 2 * pairs + MOST_IMAGES)
            labels = np.concatenate([images.query_labels, images.neighbour_labels])
            parts = np.repeat(
                ["training" if images.part == "training_images" else "held out", "training"],
                [images.sizes.queries, images.sizes.neighbours],
            )
            columns = {
                "label": [self._class_names[label] for label in labels[:MOST_IMAGES]],
                "part": list(parts[:MOST_IMAGES]),
            }
        else:
            rows = slice(min(pairs, MOST_IMAGES))
            columns = {"image": [str(place) for place in range(min(pairs, MOST_IMAGES))]}
        with explained_if_full(self._folder):
            write_projector(self._folder, features[rows], images.pixels[rows], columns)

    def _show(self, step: int) -> None:
        with explained_if_full(self._folder):
            self._write(step)

    def _write(self, step: int) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=step):
            tf.summary.image("views", _mosaic(self._views_at(step))[None])
            tf.summary.histogram("features", self._monitor.features(self.model))
            for network in (self.model.encoder, self.model.projection_head):
                for name, numbers in _kernels(network):
                    tf.summary.histogram(f"{network.name}/{name}", numbers)
        self._writer.flush()


def _mosaic(views: Sequence[np.ndarray]) -> np.ndarray:
    """uint8 `(V S, n S, C)`: the views of an image below one another."""
    rows = [np.concatenate(list(as_pictures(each[:VIEWS_SHOWN])), axis=1) for each in views]
    return np.concatenate(rows, axis=0)


def _kernels(network) -> list[tuple[str, np.ndarray]]:
    """Names and numbers of some kernels, from the first layer to the last."""
    kernels = [weight for weight in network.trainable_weights if len(weight.shape) > 1]
    places = np.unique(np.linspace(0, len(kernels) - 1, _KERNELS).round().astype(int))
    chosen = [kernels[place] for place in places if len(kernels)]
    found = []
    for place, kernel in zip(places, chosen):
        numbers = kernel.numpy().ravel()
        stride = -(-len(numbers) // _NUMBERS)
        name = getattr(kernel, "path", kernel.name).split(":")[0]
        found.append((f"{place:03}_{name}", numbers[::stride]))
    return found
