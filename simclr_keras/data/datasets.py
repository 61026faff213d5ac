"""Loads image sources by name and turns them into `tf.data` pipelines."""

import os
import pathlib
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from .. import stores
from ..errors import InputError, printable
from .folders import folder_has_test_part, load_folder
from .images import resize_and_center_crop
from .order import step_indices
from .parallel import map_batches, map_examples, without_tuning
from .parts import FIFTH, choose_held_out, take_part
from .shard_folders import holds_shards, load_shard_folder, shards_have_test_part
from .sources import ArraySource, ImageSource
from .tfds import load_tfds, tfds_has_test_part, tfds_names

_SPLITS = ("all", "train", "test")
_DIGITS_SEED = 0  # everyone gets the same split of the digits


def load_source(
    name: str,
    split: str,
    data_dir: str | None = None,
    seed: int = 0,
    skip_unreadable: bool = False,
    hold_out: bool = True,
    labelled: bool = True,
) -> ImageSource:
    """Loads images by name.

    Args:
        name: `"digits"` (scikit-learn's handwritten digits, 8 x 8 RGB), a directory, or a
            TFDS name (for a directory of the same name, write `./NAME`). In a directory, each
            sub-folder is a class, images outside sub-folders have no label, and `train/` and
            `test/` (or `val/`) are splits. A directory may also hold Parquet files with a column
            of images, or tar files as WebDataset writes them.
        split: `"all"`, for pretraining, is everything, or the training part if there are
            splits. `"train"` and `"test"`, for evaluation, are the splits, or 4/5 and 1/5 of
            every class if there is nothing to test on.
        data_dir: Folder of TFDS data. Defaults to the environment variable TFDS_DATA_DIR.
        seed: Decides which fifth is "test". Defaults to 0.
        skip_unreadable: Skip images that cannot be read instead of raising an `InputError`.
            Defaults to False.
        hold_out: Hold out that fifth. If False, `"train"` and `"test"` of data without a test
            part are both all of it, for training on one dataset and testing on another. The
            digits are always split. Defaults to True.
        labelled: Restrict `"train"` and `"test"` to labelled images. If False, unlabelled
            images are in the training part too. Defaults to True.

    Returns:
        An `ImageSource`.

    Raises:
        InputError: If there is no such dataset or split, or images cannot be read.
        ValueError: If `split` is none of these.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.load_source("digits", "train")
        >>> len(source), source.image_shape
        (1437, (8, 8, 3))

    Reference:
        TFDS: https://www.tensorflow.org/datasets/catalog/overview; the digits:
        https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html.
    """
    if split not in _SPLITS:
        raise ValueError(f"`split` must be one of {_SPLITS}. Received: split={split!r}")
    source: ImageSource
    if name == "digits":
        return _digits(split)
    if is_folder(name):
        path = folder_path(name)
        load = load_shard_folder if holds_shards(path) else load_folder
        source, is_split = load(path, split, skip_unreadable)
    elif os.path.isfile(os.path.expanduser(name)):
        raise InputError(
            f"{printable(name)} is a file. Name the folder that the images are in."
        )
    elif _looks_like_a_path(name):
        place = printable(stores.absolute(folder_path(name)))
        raise InputError(
            f"There is no folder {printable(name)} (looked for {place}). Name digits, a TFDS "
            "dataset, or a directory of images."
        )
    else:
        source, is_split = load_tfds(name, split, data_dir, skip_unreadable)
    if split == "all":
        return source
    held_out, holds_out = None, hold_out and not is_split
    if holds_out and source.has_labels:
        held_out = choose_held_out(source, FIFTH, seed)
    needs_labels = labelled or (holds_out and split == "test")
    return take_part(source, split, held_out, labelled=needs_labels)


def has_test_part(name: str, data_dir: str | None = None) -> bool:
    """Whether data that `load_source` has loaded has a test part of its own."""
    if name == "digits":
        return True
    if is_folder(name):
        path = folder_path(name)
        return shards_have_test_part(path) if holds_shards(path) else folder_has_test_part(path)
    return tfds_has_test_part(name, data_dir)


def is_folder(name: str) -> bool:
    """Whether a name for `load_source` refers to a folder that exists."""
    if stores.is_remote(name):
        return stores.has_folder(name)
    is_dir = os.path.isdir(os.path.expanduser(name))  # no error, whatever the name
    return name != "digits" and is_dir and not _is_bare_tfds_name(name)


def folder_path(name: str) -> str:
    """The path of a folder for which `is_folder`, without what the shell or a person adds."""
    if stores.is_remote(name):
        return stores.without_slash(name)
    return str(pathlib.Path(os.path.expanduser(name)))


def real_folder(name: str) -> str:
    """The path of a folder of images that means the same wherever a command is called."""
    return (
        stores.without_slash(name)
        if stores.is_remote(name)
        else os.path.realpath(os.path.expanduser(name))
    )


def is_same_data(name: str, other: str) -> bool:
    """Whether two names for `load_source` refer to the same images."""
    if stores.is_remote(name) or stores.is_remote(other):
        return real_folder(name) == real_folder(other)
    if is_folder(name) and is_folder(other):
        return os.path.samefile(*(os.path.expanduser(folder) for folder in (name, other)))
    return name == other


def pretraining_dataset(
    source: ImageSource,
    batch_size: int,
    *,
    seed: int,
    first_step: int,
    num_steps: int,
    image_size: int | None = None,
    cutter: typing.Any = None,
    with_labels: bool = False,
    first_position: int = 0,
    rows: int | None = None,
) -> tf.data.Dataset:
    """The batches of steps `first_step` to `num_steps` - 1, of images in random order.

    With a `cutter`, the crops of each image are cut from its full resolution while it is
    decoded. Without one, images of an array source are yielded as stored, and others as their
    central square, resized.

    Args:
        source: The images to read.
        batch_size: Images per step over all replicas, at most `len(source)`.
        seed: Decides the order.
        first_step: First step, counted from 0. An interrupted run that resumes there gets the
            batches that it would have had.
        num_steps: Steps of the whole run.
        image_size: S, height and width of the resized squares in pixels. Used only for images
            of different shapes, without a cutter.
        cutter: Cuts the crops of all V views, as `views.cutting.CropCutter` does. Its `draw`
            takes (int64 step, int64 `(N,)` positions in the global batch); its `cut` takes
            (an image as returned by `ImageSource.read`, a row of the result of `draw`) and
            returns `(V, S, S, C)`.
        with_labels: Yield (images, labels). Defaults to False.
        first_position: First row of the global batch to yield. Defaults to 0.
        rows: N, number of rows to yield. Defaults to all from `first_position`.

    Returns:
        A finite dataset of stored images `(N, H, W, C)`, crops `(N, V, S, S, C)`, or resized
        images, uint8 `(N, S, S, C)`; with `with_labels`, of (images, int64 `(N,)` labels).

    Raises:
        InputError: If the batch is larger than the source.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.load_source("digits", "all")
        >>> batches = sk.pretraining_dataset(source, 256, seed=0, first_step=3, num_steps=5)
        >>> [tuple(images.shape) for images in batches]
        [(256, 8, 8, 3), (256, 8, 8, 3)]

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Algorithm 1: a minibatch of N images.
    """
    check_batch(batch_size, source)
    rows = batch_size - first_position if rows is None else rows
    positions = tf.range(first_position, first_position + rows, dtype=tf.int64)
    label_of = _label_of(source) if with_labels else None

    def finish(images, index):
        return (images, label_of(index)) if label_of else images

    def stored_batch(step, index):
        index = index[first_position : first_position + rows]
        return finish(source.read(index), index)

    def examples(step, index):
        index = index[first_position : first_position + rows]
        drawn = positions if cutter is None else cutter.draw(step, positions)
        return tf.data.Dataset.from_tensor_slices((index, drawn))

    def decoded_example(index, drawn):
        if cutter is not None:
            return finish(cutter.cut(source.read(index), drawn), index)
        image = tf.round(
            resize_and_center_crop(source.load(index, image_size), image_size) * 255.0
        )
        return finish(tf.cast(image, tf.uint8), index)

    steps = step_indices(
        length=len(source),
        batch_size=batch_size,
        seed=seed,
        first_step=first_step,
        num_steps=num_steps,
    )
    if source.image_shape is not None and cutter is None:
        dataset = map_batches(steps, stored_batch)
    else:
        dataset = steps.flat_map(examples)
        dataset = map_examples(dataset, decoded_example)
        dataset = dataset.batch(rows, drop_remainder=True)
    return without_tuning(dataset.prefetch(2))


def check_batch(batch_size: int, source: ImageSource) -> None:
    """Raises an `InputError` if a batch is larger than the source."""
    if batch_size > len(source):
        raise InputError(
            f"A batch of {batch_size} is larger than the dataset ({len(source)} images). "
            f"Choose a `batch_size` of at most {len(source)}."
        )


def evaluation_dataset(
    source: ImageSource, image_size: int, batch_size: int, skip_unreadable: bool = False
) -> tf.data.Dataset:
    """Every image once, in order, resized as for serving.

    Args:
        source: The images to read.
        image_size: S, height and width of the resized images in pixels.
        batch_size: Images per batch; the last may be smaller.
        skip_unreadable: Leave out images that cannot be read. Defaults to `False`: they raise.

    Returns:
        A dataset of (float32 `(n, S, S, C)` in [0, 1], int64 `(n,)` labels, -1 for none).

    Example:
        >>> import simclr_keras as sk
        >>> batches = sk.evaluation_dataset(sk.load_source("digits", "test"), 16, 200)
        >>> [tuple(images.shape) for images, labels in batches]
        [(200, 16, 16, 3), (160, 16, 16, 3)]

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.6: evaluation on centre crops.
    """
    label_of = _label_of(source)

    def load(index):
        images = resize_and_center_crop(source.load(index, image_size), image_size)
        return images, label_of(index)

    dataset = tf.data.Dataset.range(len(source))
    if source.image_shape is not None:  # a batch at a time
        dataset = map_batches(dataset.batch(batch_size), load)
    else:
        dataset = map_examples(dataset, load)
        dataset = (dataset.ignore_errors() if skip_unreadable else dataset).batch(batch_size)
    return without_tuning(dataset.prefetch(2))


def _label_of(source: ImageSource) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of indices, for use in `tf.data`: the int64 label of each."""
    fits = source.labels.max(initial=-1) < 2**31  # half the memory
    labels = tf.constant(source.labels, tf.int32 if fits else tf.int64)
    return lambda index: tf.cast(tf.gather(labels, index), tf.int64)


def numbered(source: ImageSource) -> ImageSource:
    """The same images; the label of each is its index, so that it is known which were read."""
    return source.with_labels(np.arange(len(source)), ())


def _digits(split: str) -> ImageSource:
    """The digits, or one split of them as a source of its own, whose `places` start at 0."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(images[..., None], 3, axis=-1)  # RGB, like other sources
    source = ArraySource(images, digits.target, name="digits")
    if split == "all":
        return source
    held_out = choose_held_out(source, FIFTH, _DIGITS_SEED)
    part = take_part(source, split, held_out, labelled=True).places
    return ArraySource(images[part], digits.target[part], name="digits")


def _looks_like_a_path(name: str) -> bool:
    if name.startswith((".", "~")) or os.path.isabs(name) or name.endswith(os.sep):
        return True
    if os.sep not in name:
        return False
    # "imagenet2012_subset/1pct" is a dataset and its configuration, "photos/cats" is not.
    return not _is_bare_tfds_name(name.split(os.sep)[0])


def _is_bare_tfds_name(name: str) -> bool:
    return os.sep not in name and name in tfds_names()
