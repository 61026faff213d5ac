"""Finds the variables of an original-release checkpoint on disk."""

import contextlib
import gzip
import pathlib
import re
import shutil
import tarfile
import tempfile
import zlib

from ..errors import InputError


@contextlib.contextmanager
def variables_folder(path: pathlib.Path):
    """Yields the folder that contains `variables.index`; archives are unpacked temporarily."""
    if not path.is_file():
        # In turn: a `variables` folder, a SavedModel, and folders one and two levels above it.
        for above in ("", "variables", "*/variables", "*/*/variables"):
            found = [file.parent for file in path.glob(f"{above}/variables.index".lstrip("/"))]
            if found:
                break
        yield _only(path, {str(folder): folder for folder in found})
        return
    with tempfile.TemporaryDirectory() as unpacked:
        yield _only(path, _unpack(path, pathlib.Path(unpacked)))


def _unpack(path: pathlib.Path, target: pathlib.Path) -> dict[str, pathlib.Path]:
    """Extracts the variables of an archive; folder in the archive -> folder on disk."""
    folders: dict[str, pathlib.Path] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                content = archive.extractfile(member)  # `None` for a folder
                file = pathlib.PurePosixPath(member.name)
                if content and re.fullmatch(r"variables\.(index|data-.*)", file.name):
                    # Only into folders of our own: paths in the archive may point anywhere.
                    folder = folders.setdefault(str(file.parent), target / str(len(folders)))
                    folder.mkdir(exist_ok=True)
                    with open(folder / file.name, "wb") as copy:
                        shutil.copyfileobj(content, copy)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not a complete .tar or .tar.gz archive ({error}). Download it again, or "
            "give the folder of a SavedModel."
        ) from error
    return folders


def _only(path: pathlib.Path, found: dict[str, pathlib.Path]) -> pathlib.Path:
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(
            f"There are {len(found)} checkpoints in {path}: {', '.join(sorted(found))}. "
            f"Name one of them. Received: path={path}"
        )
    tf1 = path.is_dir() and any(path.glob("*ckpt*.index"))
    raise InputError(
        f"There is no checkpoint of the SimCLR release in {path}: expected a TF2 SavedModel, a "
        "folder with variables/variables.index, or a .tar.gz of one. "
        + ("The TF1 and training checkpoints (*ckpt*) are not supported. " if tf1 else "")
        + "Download one from gs://simclr-checkpoints-tf2/simclrv2/pretrained, such as "
        f"r50_1x_sk1/saved_model. Received: path={path}"
    )
