"""`select`: writes the list of images to label next."""

import csv
import dataclasses
import logging
import os
import pathlib
import re

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import InputError
from ..files import whole_file
from ..local_copies import file_here, with_local_copies
from ..progress import progress_shown
from ..result import Result
from .checked import read_checked
from .config import SelectConfig
from .file import EmbeddingsInfo
from .representative import choose_representative

_LOGGER = logging.getLogger("simclr_keras")
_OF_A_DATASET = re.compile(r"(.+)/train/(\d+)")  # how `embed` names images without files
_NOT_TRAINED_ON = ("test", "val", "validation")


@dataclasses.dataclass(frozen=True)
class SelectResult(Result):
    """What `select` chose and wrote.

    Attributes:
        output: The CSV file.
        chosen: Names of the images to label, the most useful first.
        images: N, the number of embedded images.
        labelled: How many of them have a label already.
    """

    output: pathlib.Path
    chosen: list[str]
    images: int
    labelled: int


@progress_shown()
@with_local_copies
def select(config: SelectConfig) -> SelectResult:
    """Chooses the images whose labels are most useful, and writes a list to fill in.

    See `representative.choose_representative`: from each of as many clusters as there will be
    labels, the most central image, and none from clusters that have a label already. If names
    begin with the splits `train/` and `test/` or `val/`, only images of `train/` are chosen. The file is
    written whole or not at all.

    Args:
        config: The settings.

    Returns:
        A `SelectResult`.

    Raises:
        InputError: If a file cannot be read, there are fewer images to choose from than wanted,
            or the output exists and holds labels.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> vectors = np.random.default_rng(0).normal(size=(20, 8))
        >>> np.savez("e.npz", paths=[f"{i}.jpg" for i in range(20)], embeddings=vectors)
        >>> result = sk.select(sk.SelectConfig("e.npz", output="to_label.csv", count=3))
        >>> print(result.output.read_text().splitlines()[0], len(result.chosen))
        path,label 3

    Reference:
        Hacohen, Dekel & Weinshall 2022, https://arxiv.org/abs/2202.02794 (the clusters).
    """
    output = file_here(config.output)
    _check_replaceable(output)
    info, vectors = read_checked(config.embeddings)
    key, written = _written_names(info)
    find = _Finder(info, key, written)
    labelled, allowed = (np.full(len(vectors), value) for value in (False, True))
    if config.labels:
        labelled[find.listed(config.labels, "labels")] = True
    if config.leave_out:
        allowed[find.listed(config.leave_out, "leave_out")] = False
    allowed &= _trained_on(info.paths)
    free = int((allowed & ~labelled).sum())
    if config.count > free:
        raise InputError(
            f"{config.embeddings} has {len(vectors)} images, of which {free} can be chosen: "
            f"{labelled.sum()} are labelled or listed already, and the others are left out. Choose "
            f"at most {free}. Received: count={config.count}"
        )
    # On one thread the choice is the same on every machine.
    with threadpool_limits(1, user_api="openmp"):
        chosen = choose_representative(vectors, config.count, labelled, allowed, config.seed)
    with (
        whole_file(output) as unfinished,
        open(unfinished, "w", newline="", encoding="utf-8") as file,
    ):
        rows = [[written[index], ""] for index in chosen]
        csv.writer(file).writerows([[key, "label"], *rows])
    return SelectResult(
        output, [info.paths[i] for i in chosen], len(vectors), int(labelled.sum())
    )


def _check_replaceable(output: pathlib.Path) -> None:
    """Raises an `InputError` if the output holds a person's work, or something else than a list."""
    if not output.exists():
        return
    header, rows = _read(output, "output")
    if header[1:] != ["label"]:
        raise InputError(
            f"{output} exists and is no list of images to label. Name another file, or remove it. "
            f"Received: the columns {','.join(header)}"
        )
    filled = sum(any(cell.strip() for cell in row[1:]) for row in rows)
    if filled:
        raise InputError(
            f"{output} exists and holds {filled} labels, which would be lost. Name another file; "
            "to choose more images, name this one as `labels`."
        )


def _written_names(info: EmbeddingsInfo) -> tuple[str, list[str]]:
    """What the list calls its first column, and each image, so that `fine-tune` finds it."""
    found = [_OF_A_DATASET.fullmatch(name) for name in info.paths]
    if not info.root and all(found):
        return "index", [match[2] for match in found if match]
    return "path", list(info.paths)


def _trained_on(names: list[str]) -> np.ndarray:
    """bool `(N,)`: images of no split, or of the one that is trained on."""
    split = np.array([name.split(os.sep)[0].lower() for name in names])
    tested = np.isin(split, _NOT_TRAINED_ON)
    if not tested.any() or not (split == "train").any():
        return np.ones(len(names), bool)
    _LOGGER.info("Only images of train/ are chosen, %d of %d.", (~tested).sum(), len(names))
    return ~tested


class _Finder:
    """Finds the images of a list among those embedded."""

    def __init__(self, info: EmbeddingsInfo, key: str, written: list[str]):
        self.key, self.root = key, info.root
        self.place_of = {self._whole(name): place for place, name in enumerate(written)}

    def _whole(self, *parts: str) -> str:
        if self.key == "index":
            return parts[-1]
        return os.path.normpath(os.path.join(self.root, *parts))

    def listed(self, path: str | os.PathLike[str], setting: str) -> list[int]:
        """The places of the images of a list; those that are not embedded are left out."""
        header, rows = _read(file_here(path), setting)
        if self.key not in header:
            raise InputError(
                f"{path}, row 1: expected a column {self.key}. Received: {','.join(header)}"
            )
        column = header.index(self.key)
        names = [row[column].strip() for row in rows if len(row) > column]
        # Paths are relative to the dataset's folder or, as of a run on splits, to its train/.
        forms = ((self._whole(name), self._whole("train", name)) for name in names)
        found = [
            [self.place_of[form] for form in pair if form in self.place_of] for pair in forms
        ]
        if names and not any(found):
            raise InputError(
                f"None of the {len(names)} images in {path} is among those embedded. Received: "
                f"{names[0]}, expected names such as {next(iter(self.place_of))}"
            )
        missing = sum(not pair for pair in found)
        if missing:
            _LOGGER.warning("%s: %d of %d images are not embedded.", path, missing, len(names))
        return [pair[0] for pair in found if pair]


def _read(path: pathlib.Path, setting: str) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a CSV file, without empty rows."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"`{setting}` cannot be read: expected a CSV file of path,label. Received: {error}"
        ) from error
    header, *rows = list(csv.reader(text.splitlines(keepends=True))) or [[]]
    return [name.strip() for name in header], [r for r in rows if any(c.strip() for c in r)]
