"""`load_on_workers`: of several workers, the first looks at all files; the others use what it found."""

import json
from collections.abc import Callable

import tensorflow as tf

from ..data.kept_files import noted_files, packed_files, unpack_files
from ..data.sources import ImageSource
from ..distribution.strategy import is_chief
from ..distribution.workers import check_same_images, from_chief
from ..errors import InputError
from .run_images import images_digest

_Parts = tuple[ImageSource, ImageSource | None]


def load_on_workers(strategy: tf.distribute.Strategy, load: Callable[[], _Parts]) -> _Parts:
    """Loads the images of a run on all its workers, first on the chief.

    The others get the indexes and listings that the chief has kept. Where their folders and shards
    are as the chief's, by name, size and time, they look no further.

    Args:
        strategy: The run's strategy.
        load: Returns the images to train on, and those held out.

    Returns:
        What `load` returns.

    Raises:
        InputError: As `load`; or if a worker cannot load its images, or has others.
        RunFailure: If a worker is lost.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return load()
    parts = None
    if is_chief(strategy):
        parts = _load_as_chief(strategy, load)
    else:
        error, found = from_chief(strategy, b"").split(b"\n", 1)
        if reason := json.loads(error):
            raise InputError(f"The first worker could not load the images: {reason}")
        unpack_files(found)
    try:
        parts = parts or load()
    finally:
        check_same_images(strategy, None if parts is None else images_digest(parts[0]))
    return parts


def _load_as_chief(strategy: tf.distribute.Strategy, load: Callable[[], _Parts]) -> _Parts:
    try:
        with noted_files() as files:
            parts = load()
    except BaseException as error:
        from_chief(strategy, json.dumps(str(error) or repr(error)).encode() + b"\n")
        raise
    from_chief(strategy, b"null\n" + packed_files(files))
    return parts
