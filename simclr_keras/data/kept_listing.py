"""Keeps listings of large folders of images beside the indexes of shards."""

import json
import logging
import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np

from .. import stores
from .decoding import DECODES_WEBP
from .kept_files import kept_file, write_arrays
from .listing import Folder, Listing

_LOGGER = logging.getLogger("simclr_keras")
_FORMAT = f"listing 1, WebP: {DECODES_WEBP}"  # another when the files change
_LEAST = 10_000  # images; fewer are looked at in a second
_TEXTS = ("folders", "links", "others", "special")


def keep_listing(listing: Listing, before: Mapping[str, Folder]) -> None:
    """Keeps what was found in a folder, if it holds many images and is not as it was kept.

    Args:
        listing: The folder.
        before: What `kept_folders` returned.
    """
    is_as_before = len(before) == len(listing.folders) and all(
        folder is before.get(prefix) for prefix, folder in listing.folders.items()
    )
    if len(listing) < _LEAST or is_as_before:
        return
    path, folders = _path(listing.root), listing.folders.values()
    described = [
        [prefix, f.time, len(f.sizes), len(f.images)] + [getattr(f, t) for t in _TEXTS]
        for prefix, f in listing.folders.items()
    ]
    try:
        write_arrays(
            path,
            folders=np.frombuffer(json.dumps(described).encode(), np.uint8),
            images=np.frombuffer(b"".join(f.images for f in folders), np.uint8),
            sizes=np.concatenate([f.sizes for f in folders]),
            is_good=np.concatenate([f.is_good for f in folders]),
        )
    except OSError as error:
        _LOGGER.warning(
            "What is in %s cannot be kept in %s: %s.", listing.root, path.parent, error
        )


def kept_folders(root: str) -> dict[str, Folder]:
    """What was kept of a folder: what is in it and in each sub-folder; empty if nothing was."""
    try:
        with np.load(_path(root)) as file:
            described = json.loads(file["folders"].tobytes())
            images, sizes, is_good = file["images"].tobytes(), file["sizes"], file["is_good"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # none, or not written here
        return {}
    sizes = np.where(is_good, sizes, -1)  # what was not readable may have been repaired
    found, place, number = {}, 0, 0
    for prefix, time, count, length, *texts in described:
        found[prefix] = Folder(
            time,
            images=images[place : place + length],
            sizes=sizes[number : number + count],
            is_good=is_good[number : number + count],
            **dict(zip(_TEXTS, texts)),
        )
        place, number = place + length, number + count
    return found


def _path(root: str) -> pathlib.Path:
    return kept_file(root, _FORMAT, stores.absolute(root))
