"""The parts of data that has no test part of its own: what is held out, and the list of it."""

import csv
import itertools
import os
from collections.abc import Callable, Iterable

import numpy as np

from ..errors import InputError
from ..files import whole_file
from ..seeds import seed_of_32_bits
from .file_source import FileSource
from .sources import ImageSource

FIFTH = 0.2


def choose_held_out(source: ImageSource, share: float, seed: int) -> np.ndarray:
    """Draws the images to hold out: a share of each class, or of all images without any label.

    Args:
        source: The images. If some have labels, those without are not drawn.
        share: Their share, above 0 and below 1.
        seed: Decides the draw.

    Returns:
        int64 indices, sorted.

    Raises:
        InputError: If there are too few images.
    """
    from sklearn.model_selection import train_test_split

    drawn_from, labels = np.flatnonzero(source.labels >= 0), None
    if len(drawn_from):
        labels = source.labels[drawn_from]
    else:
        drawn_from = np.arange(len(source))
    try:
        _, held_out = train_test_split(
            drawn_from, test_size=share, stratify=labels, random_state=seed_of_32_bits(seed)
        )
    except ValueError as error:
        part = "a fifth" if share == FIFTH else f"{100 * share:.10g} %"
        few = f"{len(source)} images: too few to hold out {part} of them"
        if labels is not None:
            few = (
                f"{len(labels)} labelled images in {len(set(labels))} classes: too few to hold "
                f"out {part} of every class"
            )
        raise InputError(
            f"{source.name} has {few}. Add images, or test/ and train/ folders."
        ) from error
    return np.sort(held_out)


def take_part(
    source: ImageSource, split: str, held_out: np.ndarray | None, labelled: bool
) -> ImageSource:
    """The training or the test part.

    Args:
        source: The images.
        split: `"test"` for the images held out, `"train"` for the others.
        held_out: Their indices. If `None`, both parts are all images.
        labelled: Leave out images without a label.

    Raises:
        InputError: If `labelled`, but no image of the part has a label.
    """
    chosen = np.arange(len(source))
    if held_out is not None:
        chosen = held_out if split == "test" else np.setdiff1d(chosen, held_out)
    if labelled:
        chosen = chosen[source.labels[chosen] >= 0]
        if not len(chosen):
            raise InputError(
                f"{source.name} has no labels. Put the images in one sub-folder for each class, "
                "or name data that has labels."
            )
    return source if len(chosen) == len(source) else source.subset(chosen)


def write_held_out(path: str | os.PathLike, held_out: ImageSource) -> None:
    """Writes a list of images: one column, `path` within the folder, or `index` without files.

    Args:
        path: The CSV file.
        held_out: The images.
    """
    key: str = "index"
    names: Iterable[str] = map(str, held_out.places)
    if isinstance(held_out, FileSource):
        key, names = "path", held_out.names
    with (
        whole_file(path) as unfinished,
        # File names need not be text.
        open(unfinished, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows([name] for name in itertools.chain([key], names))


def find_held_out(path: str | os.PathLike, source: ImageSource) -> tuple[np.ndarray, list[str]]:
    """Finds the images of a list that `write_held_out` wrote.

    Args:
        path: The CSV file.
        source: All images.

    Returns:
        The sorted indices of the images of the list, and the names of those that are missing.
    """
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        (key,), *rows = csv.reader(file)
    listed = [name for (name,) in rows]
    find: Callable[[str], int | None] = place_finder(source)
    if key == "path":
        names, asked = source.names if isinstance(source, FileSource) else (), set(listed)
        find = {name: index for index, name in enumerate(names) if name in asked}.get
    indices = [find(name) for name in listed]
    missing = [name for name, index in zip(listed, indices) if index is None]
    return np.sort(np.array([i for i in indices if i is not None], np.int64)), missing


def place_finder(source: ImageSource) -> Callable[[str], int | None]:
    """What finds images by their places; without a dictionary, which would take 200 bytes for each.

    Args:
        source: The images.

    Returns:
        A function of one of the `ImageSource.places` as a string: the index of the image; `None` if
        there is none.
    """
    order = np.argsort(source.places, kind="stable")
    places = source.places[order]

    def find(name: str) -> int | None:
        if not name.isdecimal():
            return None
        number = np.searchsorted(places, int(name))
        is_there = number < len(places) and places[number] == int(name)
        return int(order[number]) if is_there else None

    return find
