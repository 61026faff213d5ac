"""`BadImages`: images that turn out to be unreadable while they are used."""

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import tensorflow as tf

from ..errors import RunFailure, named
from ..settings import MAX_BAD_FRACTION
from .order import step_indices
from .sources import ImageSource

_LOGGER = logging.getLogger("simclr_keras")
_Read = TypeVar("_Read")


class BadImages:
    """Counts and names images that turn out to be unreadable, up to a share of all.

    Loading looks at the beginning and the end of each file. A wrong byte in between shows only
    when the image is decoded, and files vanish or change while a run of days reads them. Such an
    image is replaced by the next one that can be read, or left out where each image counts once.

    Args:
        of_all: The number of all images.
        max_fraction: Share of them that may be bad, in [0, 1). Defaults to 0.05.

    Attributes:
        reasons: For each bad image, name -> why it cannot be read.
    """

    def __init__(self, of_all: int, max_fraction: float = MAX_BAD_FRACTION):
        self._of_all, self._max_fraction = of_all, max_fraction
        self.reasons: dict[str, str] = {}

    def replaced(self, source: ImageSource, found: Mapping[int, str]) -> ImageSource:
        """A source of as many images, in which each bad one is the next that can be read.

        Which image that is depends on the files alone, and not on when they were found to be bad.

        Args:
            source: The images.
            found: Index -> why the image cannot be read; at least one.

        Raises:
            RunFailure: If too many images are bad.
        """
        self._add(source, found)
        # An image may stand in for others.
        bad = np.flatnonzero(np.isin(source.places, source.places[list(found)]))
        index = np.arange(len(source))
        good = np.setdiff1d(index, bad)
        index[bad] = good[np.searchsorted(good, bad) % len(good)]
        return source.subset(index)

    def left_out(self, source: ImageSource, read: np.ndarray) -> ImageSource:
        """A source of the images that have been read.

        Args:
            source: The images.
            read: int64 `(n,)`, sorted: the indices of those that could be read.

        Raises:
            RunFailure: If too many images are bad.
        """
        missing = np.setdiff1d(np.arange(len(source)), read)
        if not len(missing):
            return source
        reasons = source.find_unreadable(missing)
        self._add(source, {i: reasons.get(i, "could not be decoded") for i in missing.tolist()})
        return source.subset(read)

    def read(self, source: ImageSource, read: Callable[[ImageSource], _Read]) -> _Read:
        """What `read` makes of a few images; bad ones are replaced if it fails.

        Raises:
            RunFailure: If too many images are bad.
        """
        try:
            return read(source)
        except tf.errors.OpError:
            found = source.find_unreadable()
            if not found:
                raise
            return read(self.replaced(source, found))

    def conclude(self) -> None:
        """Says at the end of a run what was replaced."""
        if self.reasons:
            _LOGGER.warning(
                "%d of %d images could not be read and were replaced by others: %s.",
                len(self.reasons),
                self._of_all,
                named(self._texts(self.reasons)),
            )

    def _add(self, source: ImageSource, found: Mapping[int, str]) -> None:
        new = {source.name_of(index): reason for index, reason in found.items()}
        self.reasons.update(new)
        count = len(self.reasons)
        message = f"{count} of {self._of_all} images in {source.name} cannot be read"
        if count >= self._of_all or count > self._max_fraction * self._of_all:
            raise RunFailure(
                f"{message}: {named(self._texts(self.reasons))}. `max_bad_fraction` allows "
                f"{self._max_fraction:g} of them. Find them all with simclr-keras check-data, then "
                "restore them or raise it."
            )
        _LOGGER.warning("%s, the last of them %s.", message, named(self._texts(new)))

    @staticmethod
    def _texts(reasons: Mapping[str, str]) -> list[str]:
        return [f"{name} ({reason})" for name, reason in reasons.items()]


class TrainingImages:
    """The batches of a run in which images that cannot be read are replaced as they come up.

    Args:
        source: The images.
        batches_of: (source, first_step, num_steps, first_position=, rows=) -> batches, as those of
            `pretraining_dataset`.
        batch_size: Images per step over all replicas.
        seed: Decides the order of the images.
        bad_images: Counts what is replaced.
    """

    def __init__(
        self,
        source: ImageSource,
        batches_of: Callable[..., tf.data.Dataset],
        batch_size: int,
        seed: int,
        bad_images: BadImages,
    ):
        self._source, self._batches_of = source, batches_of
        self._order = {"length": len(source), "batch_size": batch_size, "seed": seed}
        self._bad_images = bad_images
        self._look_ahead = 1  # batches
        self._tried_again_at = -1

    def batches(self, first_step: int, num_steps: int, **rows) -> tf.data.Dataset:
        """The batches of some steps."""
        return self._batches_of(self._source, first_step, num_steps, **rows)

    def recover(self, step: int) -> bool:
        """Replaces images after an error; whether the step may be tried again.

        Args:
            step: The step, counted from 0, that failed.

        Raises:
            RunFailure: If too many images are bad.
        """
        last = step + self._look_ahead
        steps = step_indices(first_step=step, num_steps=last, **self._order)
        indices = np.unique([index for _, index in steps.as_numpy_iterator()])
        found = self._source.find_unreadable(indices)
        if found:
            self._source = self._bad_images.replaced(self._source, found)
            self._look_ahead *= 2  # beginning again takes time: seldom, however many are bad
            return True
        # An image may have been read while it was written. Once only: it may be something else.
        tried, self._tried_again_at = self._tried_again_at, step
        return tried != step
