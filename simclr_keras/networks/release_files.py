"""Where the variables of a checkpoint of the original release are on disk."""

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
    """The folder that holds `variables.index`; an archive is unpacked for as long as needed."""
    if not path.is_file():
        # A `variables` folder, a SavedModel, and folders of one or of numbered ones.
        for above in ("", "variables", "*/variables", "*/*/variables"):
            found = [file.parent for file in path.glob(f"{above}/variables.index".lstrip("/"))]
            if found:
                break
        yield _only(path, {str(folder): folder for folder in found})
        return
    with tempfile.TemporaryDirectory() as unpacked:
        yield _only(path, _unpack(path, pathlib.Path(unpacked)))


def _unpack(path: pathlib.Path, target: pathlib.Path) -> dict[str, pathlib.Path]:
    """Copies the variables in an archive; its folders -> the folders they are in now."""
    folders = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                file = pathlib.PurePosixPath(member.name)
                if member.isfile() and re.fullmatch(r"variables\.(index|data-.*)", file.name):
                    # Folders of our own, wherever the paths in the archive may point.
                    folder = folders.setdefault(str(file.parent), target / str(len(folders)))
                    folder.mkdir(exist_ok=True)
                    with open(folder / file.name, "wb") as copy:
                        shutil.copyfileobj(archive.extractfile(member), copy)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path} is not a whole .tar or .tar.gz archive ({error}). Download it again, or "
            "name the folder of a SavedModel."
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
        + ("The TF1 and training checkpoints (*ckpt*) are not read. " if tf1 else "")
        + "Download one from gs://simclr-checkpoints-tf2/simclrv2/pretrained, such as "
        f"r50_1x_sk1/saved_model. Received: path={path}"
    )
