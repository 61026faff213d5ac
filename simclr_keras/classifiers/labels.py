"""Small label subsets: stratified draws, and the CSV files that store them."""

import csv
import io
import os
import pathlib
import typing
from collections.abc import Callable

import numpy as np

from ..data.file_source import FileSource
from ..data.parts import place_finder
from ..data.sources import ImageSource
from ..errors import InputError, did_you_mean
from ..local_copies import file_here
from ..seeds import generator
from ..settings import AT_LEAST_1, SHARE, check_range
from ..stores import is_remote


class LabelList(typing.NamedTuple):
    """The labelled examples of a list.

    Attributes:
        indices: int64 `(n,)`, sorted: indices into the source.
        labels: int64 `(n,)`: indices into `class_names`.
        class_names: A name for each label.
    """

    indices: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


def choose_labels(
    labels: np.ndarray,
    *,
    label_fraction: float | None = None,
    labels_per_class: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Draws a stratified subset of labels: a share of every class, or a fixed number of each.

    Args:
        labels: Integers `(N,)`; -1 means unlabelled and is never drawn.
        label_fraction: Share of each class, in (0, 1]. A class of n examples gives
            round(fraction * n), halves rounded up, but at least 1.
        labels_per_class: Number of labels of each class, at least 1. If neither is given, all
            labels are chosen.
        seed: Determines the draw.

    Returns:
        int64 indices, sorted.

    Raises:
        InputError: If both are given, one is out of range, a class has fewer examples than
            `labels_per_class`, or there is no label.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> labels = np.repeat([0, 1, -1], 100)
        >>> len(sk.choose_labels(labels, label_fraction=0.01))
        2
        >>> chosen = sk.choose_labels(labels, labels_per_class=5)
        >>> np.bincount(labels[chosen]).tolist()
        [5, 5]

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 3 (1 % and 10 % of labels).
    """
    if label_fraction is not None and labels_per_class is not None:
        raise InputError(
            "Choose labels either by a fraction or by a number per class. Received: "
            f"label_fraction={label_fraction}, labels_per_class={labels_per_class}"
        )
    check_range("label_fraction", label_fraction, SHARE)
    check_range("labels_per_class", labels_per_class, AT_LEAST_1)
    labels = np.asarray(labels)
    if not (labels >= 0).any():
        raise InputError(
            f"There is no label to choose from. Received: {len(labels)} labels of -1"
        )
    if labels_per_class is None and label_fraction is None:
        return np.flatnonzero(labels >= 0)
    draw, chosen = generator(seed), []
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        count = labels_per_class or max(1, int((label_fraction or 1) * len(members) + 0.5))
        if count > len(members):
            raise InputError(
                f"`labels_per_class` is more than class {label} has. Received: "
                f"labels_per_class={labels_per_class}, {len(members)} examples"
            )
        chosen.append(draw.choice(members, count, replace=False))
    return np.sort(np.concatenate(chosen))


def write_labels(path: str | os.PathLike, source: ImageSource, chosen: LabelList) -> None:
    """Writes a list of labels: columns `path,label`, or `index,label` if there are no files.

    Args:
        path: The CSV file.
        source: The images.
        chosen: The labels to write.
    """
    key, places = "index", list(map(str, source.places[chosen.indices]))
    if isinstance(source, FileSource):
        key, places = "path", [source.names[index] for index in chosen.indices]
    # File names need not be text.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow([key, "label"])
        for place, label in zip(places, chosen.labels):
            writer.writerow([place, chosen.class_names[label]])


def read_labels(path: str | os.PathLike, source: ImageSource) -> LabelList:
    """Reads a list of labels, for example one written by hand.

    Args:
        path: A CSV file with a header and the columns `path,label`, where paths are absolute or
            relative to the dataset's folder (or to its `train/`); for a source without files,
            `index,label`, where an index is one of `ImageSource.places`. A label is the name of
            a class.
        source: The images. If it has class folders, the labels must be their names; otherwise
            the classes are the sorted labels of the list.

    Returns:
        The list, sorted by index.

    Raises:
        InputError: If the file does not exist, a column is missing or unknown, or a row names
            an unknown image, an unknown class, or an image with another label in an earlier
            row. The message names the row.
    """
    path = file_here(path)
    key = "path" if isinstance(source, FileSource) else "index"
    find = _finder(source)
    found: dict[int, tuple[str, int]] = {}
    for row, place, label in _rows(path, key):
        found_at = map(find, _forms(place, source))
        index = next((index for index in found_at if index is not None), None)
        if index is None:
            raise InputError(
                f"{path}, row {row}: {source.name} has no such training image. "
                f"Received: {key}={place}"
            )
        if label not in source.class_names:
            label = label.strip()
        if source.class_names and label not in source.class_names:
            meant = did_you_mean(label, source.class_names)
            raise InputError(
                f"{path}, row {row}: {source.name} has no such class.{meant} Received: "
                f"label={label}"
            )
        before, first = found.setdefault(index, (label, row))
        if before != label:
            raise InputError(
                f"{path}, row {row}: row {first} already gives this image the label {before}. "
                f"Received: {key}={place}, label={label}"
            )
    if not found:
        raise InputError(f"{path} has no rows. Expected a row {key},label for each image.")
    names = source.class_names or tuple(sorted({label for label, _ in found.values()}))
    number = {name: k for k, name in enumerate(names)}
    indices = sorted(found)
    labels = [number[found[index][0]] for index in indices]
    return LabelList(np.array(indices, np.int64), np.array(labels, np.int64), names)


def _rows(path: pathlib.Path, key: str):
    """Yields (line number, path or index, label) of each row after the header."""
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: expected a CSV file of {key},label. Received: {error}"
        ) from error
    # Not `splitlines`, nor `strip` of paths: a name may hold characters that these take for the
    # end of a line, and begin or end with a space.
    rows = csv.reader(io.StringIO(text, newline=""))
    if "\0" in text or any(len(line) > csv.field_size_limit() for line in text.split("\n")):
        raise InputError(f"{path} cannot be read: expected a CSV file of {key},label.")
    header = [name.strip() for name in next(rows, [])]
    if sorted(header) != sorted([key, "label"]):
        raise InputError(
            f"{path}, row 1: the columns must be {key},label. Received: {','.join(header)}"
        )
    for cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != 2:
            raise InputError(
                f"{path}, row {rows.line_num}: expected {key},label, with quotes around a "
                f"value that contains a comma. Received: {','.join(cells)}"
            )
        row = dict(zip(header, cells))
        if not row["label"].strip():
            raise InputError(
                f"{path}, row {rows.line_num}: the label is missing: fill it in, or remove the row. "
                f"Received: {key}={row[key]}"
            )
        yield rows.line_num, row[key], row["label"]


def _finder(source: ImageSource) -> Callable[[str], int | None]:
    """What finds the index of an image by its path or its place."""
    if not isinstance(source, FileSource):
        return place_finder(source)
    files = enumerate(source.names)
    return {_absolute(source.root, name): index for index, name in files}.get


def _forms(place: str, source: ImageSource) -> list[str]:
    """What a path may mean: relative to the source's folder or, for splits, to its parent."""
    if not isinstance(source, FileSource):
        return [place.strip()]
    return [
        _absolute(root, place) for root in (source.root, os.path.join(source.root, os.pardir))
    ]


def _absolute(root: str, place: str) -> str:
    return os.path.abspath(place if is_remote(place) else os.path.join(root, place))
