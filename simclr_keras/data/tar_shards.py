"""Finds the images in a tar file as WebDataset writes it: `000.jpg` with `000.cls` or `000.json`."""

import array
import json
import os
import tarfile

import numpy as np

from ..errors import InputError
from ..stores import open_file, read_at
from ..stores import size as size_of
from .listing import IMAGE_SUFFIXES
from .shard_index import Shard
from .unreadable import START_BYTES, looks_complete, why_undecodable

_LABEL_KEYS = ("label", "cls")  # of a .json member


def index_tar(file: str) -> Shard:
    """Finds the images of one tar file; reads its headers and labels only.

    The members of an example follow each other and have the same name up to the first dot. Its label
    is the whole number in `.cls`, or as `label` or `cls` in `.json`; anything else is no label.

    Args:
        file: Its path.

    Returns:
        What is in it, with its damage.

    Raises:
        InputError: If the file is compressed.
    """
    with open_file(file) as stream:
        if stream.read(2) == b"\x1f\x8b":
            raise InputError(
                f"{file} is compressed. Expected plain tar files, in which an image can be read by "
                "its place: decompress it."
            )
        offsets, lengths, labels = array.array("q"), array.array("i"), array.array("q")
        damage: dict[int, str] = {}
        example, first, label = "", 0, -1

        def add(offset: int, length: int, name: str, reason: str | None) -> None:
            if reason:
                damage[len(offsets)] = f"{name} ({reason})"
            offsets.append(offset)
            lengths.append(-1 if reason else length)
            labels.append(-1)

        size, name, cut_off = size_of(file), "the start", False
        try:
            stream.seek(0)
            with tarfile.open(fileobj=stream, mode="r:") as members:
                while (member := members.next()) is not None:
                    members.members = []  # type: ignore[attr-defined]  # a kilobyte for each image
                    name, place = member.name, member.offset_data
                    if not member.isfile():
                        continue
                    folder, base = os.path.split(name)
                    key, _, suffix = base.partition(".")
                    if os.path.join(folder, key) != example:
                        labels[first:] = array.array("q", [label] * (len(labels) - first))
                        example, first, label = os.path.join(folder, key), len(offsets), -1
                    suffix = suffix.lower().rpartition(".")[2]
                    if f".{suffix}" in IMAGE_SUFFIXES:
                        cut_off = place + member.size > size
                        reason = "cut off" if cut_off else _why(stream, place, member.size)
                        add(place, member.size, name, reason)
                        if cut_off:
                            break
                    elif suffix in ("cls", "json"):
                        content = read_at(stream, place, member.size)
                        label = _label(content, suffix, label)
                stopped = members.offset
            stream.seek(stopped)
            if not cut_off and stream.read(tarfile.BLOCKSIZE).strip(b"\0"):
                add(0, -1, f"what follows {name}", "bad header")
        except tarfile.TarError as error:
            add(0, -1, f"what follows {name}", str(error))
        labels[first:] = array.array("q", [label] * (len(labels) - first))
    return Shard(np.asarray(offsets), np.asarray(lengths), np.asarray(labels), damage)


def tar_name(file: str, offset: int) -> str:
    """The file and the name of the member whose content begins at a place."""
    with open_file(file) as stream:
        stream.seek(offset - tarfile.BLOCKSIZE)
        header = stream.read(tarfile.BLOCKSIZE)
    member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
    return f"{os.path.basename(file)}, {member.name}"


def _why(stream, place: int, length: int) -> str | None:
    """Why an image cannot be read; `None` if it can, or if it begins and ends as it should."""
    start, end = (
        read_at(stream, place + at, min(START_BYTES, length))
        for at in (0, max(0, length - START_BYTES))
    )
    if looks_complete(start, end, length):
        return None
    return why_undecodable(read_at(stream, place, length))


def _label(content: bytes, suffix: str, before: int) -> int:
    """The label in a member, or the one known before."""
    try:
        if suffix == "cls":
            return int(content)
        found = json.loads(content)
    except ValueError:
        return before
    values = [found.get(key) for key in _LABEL_KEYS] if isinstance(found, dict) else []
    return next((value for value in values if type(value) is int), before)
