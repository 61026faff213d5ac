"""`RunRows`: the numbers of a run, a row for each step at which they were measured."""

import contextlib
import csv
import pathlib

import tensorflow as tf

from ..errors import RunFailure
from ..files import explained_if_full, whole_file


class RunRows:
    """A CSV file whose first column is the step, and TensorBoard's copy of it.

    Write the row of a step before its checkpoint. When a run resumes, call `keep_until` with the
    step of the checkpoint: later steps are repeated.

    Args:
        path: The CSV file.
        tensorboard: Folder of the event file.
    """

    def __init__(self, path: str | pathlib.Path, tensorboard: str | pathlib.Path):
        self._path, self._tensorboard = pathlib.Path(path), tensorboard
        with explained_if_full(tensorboard):
            self._writer = tf.summary.create_file_writer(str(tensorboard))

    def read(self) -> list[dict[str, str]]:
        """The rows written so far."""
        return read_history(self._path)

    def keep_until(self, step: int) -> list[dict[str, str]]:
        """Drops the rows after a step; returns the others."""
        rows = [row for row in self.read() if int(row["step"]) <= step]
        if rows:
            _write_rows(self._path, rows)
        else:
            self._path.unlink(missing_ok=True)
        return rows

    def append(self, step: int, numbers: dict[str, float], prefix: str = "") -> None:
        """Writes the row of a step.

        Args:
            step: The step.
            numbers: The numbers by name.
            prefix: Of their names in the file.
        """
        row = {"step": step, **{prefix + name: value for name, value in numbers.items()}}
        rows = self.read()
        if rows and list(rows[0]) != list(row):  # a longer run may measure more
            _write_rows(self._path, [*rows, row])
        else:
            _write_rows(self._path, [row], append=bool(rows))
        with explained_if_full(self._tensorboard):
            with self._writer.as_default(step=step):
                for name, value in numbers.items():
                    tf.summary.scalar(name, value)
            self._writer.flush()


def read_history(path: str | pathlib.Path) -> list[dict[str, str]]:
    """The rows of a `history.csv` or `monitor.csv`; empty if the file does not exist yet."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with path.open(newline="", errors="replace") as file:
        rows = list(csv.DictReader(file))
    if rows and "step" not in rows[0]:
        raise RunFailure(
            f"{path} does not hold the numbers of a run: it has no column `step`. Move it away, or "
            "restore it from a copy."
        )
    return [row for row in rows if _is_whole(row)]


def _is_whole(row: dict) -> bool:
    """Whether a row has all its columns: one that was cut off is written again or left out."""
    return None not in row and None not in row.values() and row["step"].isdecimal()


def _write_rows(path: pathlib.Path, rows: list[dict], append: bool = False) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with contextlib.nullcontext(path) if append else whole_file(path) as target:
        with explained_if_full(path), target.open("a" if append else "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=names)
            if not append:
                writer.writeheader()
            writer.writerows(rows)
