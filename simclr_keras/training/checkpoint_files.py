"""The files of checkpoints: written aside, with a checksum of each, and found again by step."""

import hashlib
import json
import os
import pathlib
import re
import shutil

import tensorflow as tf

from ..files import unfinished_folder, write_json

_NAME = re.compile(r"ckpt-(\d+)\.(?:index|json)")
_KEPT_FREE = 2**20  # bytes beside a checkpoint, for the history and the like


def saved_steps(folder: str | os.PathLike) -> list[int]:
    """The steps of the checkpoints in a folder, whole or not, the last first."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(
        {int(found[1]) for found in map(_NAME.fullmatch, names) if found}, reverse=True
    )


def prefix_of(folder: str | os.PathLike, step: int) -> str:
    """What TensorFlow calls the path of a checkpoint: that of its files without their suffixes."""
    return os.path.join(folder, f"ckpt-{step}")


def write_checkpoint(checkpoint: tf.train.Checkpoint, folder: pathlib.Path, step: int) -> None:
    """Writes a checkpoint: the files aside, then under their names, then the list of them.

    `ckpt-STEP.json` lists the files with sizes and SHA-256; without it, a checkpoint is not whole.

    Args:
        checkpoint: What to save.
        folder: Its folder; created if missing.
        step: Its step. A checkpoint of the same step is replaced.

    Raises:
        OSError: If it cannot be written. Others in the folder are as they were.
        tf.errors.OpError: As `OSError`.
    """
    with unfinished_folder(folder) as unfinished:
        unfinished.mkdir()
        checkpoint.write(prefix_of(unfinished, step))
        written = sorted(unfinished.iterdir())
        files = {
            file.name: {"bytes": file.stat().st_size, "sha256": _digest(file)}
            for file in written
        }
        remove_checkpoint(folder, step)
        for file in written:
            os.replace(file, folder / file.name)
    write_json(folder / f"ckpt-{step}.json", {"step": step, "files": files})


def why_damaged(folder: pathlib.Path, step: int) -> str | None:
    """Says why a checkpoint cannot be used; `None` if it is whole.

    One without a list of files, as earlier versions wrote them, is read in full instead: TensorFlow
    keeps checksums of the tensors.
    """
    try:
        listed = json.loads((folder / f"ckpt-{step}.json").read_text())["files"]
        for name, known in sorted(listed.items()):
            file = folder / name
            if not file.exists():
                return f"{name} is missing"
            if (size := file.stat().st_size) != known["bytes"]:
                return f"{name} has {size:,} bytes instead of {known['bytes']:,}"
            if _digest(file) != known["sha256"]:
                return f"{name} is not as it was written"
        return None
    except FileNotFoundError:
        return _why_unreadable(prefix_of(folder, step))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"ckpt-{step}.json cannot be read"


def remove_checkpoint(folder: pathlib.Path, step: int) -> None:
    """Removes the files of a checkpoint, the list of them first."""
    for file in [folder / f"ckpt-{step}.json", *folder.glob(f"ckpt-{step}.*")]:
        file.unlink(missing_ok=True)


def too_little_space(folder: pathlib.Path, needed: int) -> str | None:
    """Says how much disk space is needed and left, if it is too little.

    Args:
        folder: Where to write; it or a folder above it exists.
        needed: Bytes.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free >= needed + _KEPT_FREE:
        return None
    return f"it needs {_megabytes(needed + _KEPT_FREE)}, and {_megabytes(free)} are free"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _digest(file: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _why_unreadable(prefix: str) -> str | None:
    name = os.path.basename(prefix)
    if not os.path.exists(f"{prefix}.index"):
        return f"{name}.index is missing"
    try:
        reader = tf.train.load_checkpoint(prefix)
        for tensor in reader.get_variable_to_dtype_map():
            reader.get_tensor(tensor)
    # The reader raises Python's errors for some of TensorFlow's.
    except (tf.errors.OpError, ValueError, RuntimeError, LookupError) as error:
        return f"{name}: {' '.join(str(error).split())[:100]}"
    return None
