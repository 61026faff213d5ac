"""`look_at_all`: decodes every image of a source and notes what can be compared."""

import concurrent.futures
import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..data.decoding import FORMATS, decode_image
from ..data.file_source import FileSource
from ..data.headers import MAX_PIXELS
from ..data.sources import ArraySource, ImageSource
from ..data.unreadable import read_regular, why_undecodable
from .declared import Declared, declared, other_format
from .picture_hash import difference_hash

_AT_ONCE = 1024  # images between reports of progress
_LARGE = 2**24  # pixels; only one such image is decoded at a time: memory
_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG", b"IEND\xaeB`\x82"), (b"GIF8", b";"))
_large_images = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen of N images; about 60 bytes for each.

    Attributes:
        source: The images.
        reasons: Index -> (kind, reason) of those that cannot be read.
        content: uint64 `(N, 2)`: a digest of the bytes.
        pixels: uint64 `(N, 2)`: a digest of the decoded picture.
        hashes: uint64 `(N,)`: the hash of the picture; see `difference_hash`.
        means: uint8 `(N, 3)`: its mean colour.
        sides: int32 `(N, 2)`: height and width.
        kinds: The names of `kind`.
        kind: int16 `(N,)`: its channels and their depth, as an index into `kinds`.
        orientation: int8 `(N,)`: see `Declared`.
    """

    source: ImageSource
    reasons: dict[int, tuple[str, str]]
    content: np.ndarray
    pixels: np.ndarray
    hashes: np.ndarray
    means: np.ndarray
    sides: np.ndarray
    kinds: list[str]
    kind: np.ndarray
    orientation: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Indices of the images that can be read."""
        return np.setdiff1d(np.arange(len(self.source)), list(self.reasons))


def look_at_all(source: ImageSource, show: Callable[[int], None], before: int = 0) -> Look:
    """Reads and decodes every image, in threads.

    Args:
        source: The images.
        show: Called with the number of images done.
        before: The number of images done before.
    """
    count = len(source)
    look = Look(
        source,
        {},
        np.zeros((count, 2), np.uint64),
        np.zeros((count, 2), np.uint64),
        np.zeros(count, np.uint64),
        np.zeros((count, 3), np.uint8),
        np.zeros((count, 2), np.int32),
        [],
        np.zeros(count, np.int16),
        np.ones(count, np.int8),
    )
    kinds: dict[str, int] = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, count, _AT_ONCE):
            part = range(first, min(first + _AT_ONCE, count))
            for index, found in zip(part, pool.map(lambda k: _look(source, k), part)):
                if isinstance(found, tuple):
                    look.reasons[index] = found
                    continue
                look.content[index], look.pixels[index] = found["content"], found["pixels"]
                look.hashes[index], look.means[index] = found["hash"]
                header = found["header"]
                look.sides[index] = header.height, header.width
                look.kind[index] = kinds.setdefault(header.kind, len(kinds))
                look.orientation[index] = header.orientation
            show(before + part.stop)
    look.kinds.extend(kinds)
    return look


def encoded_or_reason(source: ImageSource, index: int) -> bytes | str:
    """The bytes of an encoded image, or why they cannot be read."""
    if isinstance(source, FileSource):
        return read_regular(source.file(index))
    try:
        return source.read(index).numpy()
    except tf.errors.OpError as error:
        return str(error.message)


def decode(content: bytes) -> np.ndarray | tuple[str, str]:
    """The picture, uint8 `(H, W, 3)`; or (kind, reason) if it cannot be decoded.

    Nothing is decoded whose header declares more pixels than training would decode.
    """
    header = declared(content)
    if header is not None:
        if not 0 < header.height * header.width <= MAX_PIXELS:
            sides = f"{header.width:,} x {header.height:,}"
            return "size", f"declares {sides} pixels, of which up to {MAX_PIXELS:,} are decoded"
        if header.height * header.width > _LARGE:
            with _large_images:
                return _decoded(content)
    return _decoded(content)


def _decoded(content: bytes) -> np.ndarray | tuple[str, str]:
    try:
        return decode_image(tf.constant(content)).numpy()
    except tf.errors.OpError:
        pass
    reason = why_undecodable(content) or "could not be decoded"
    if reason.startswith("not a"):
        known = other_format(content)
        return "no-image", f"{known}, not a {FORMATS} image" if known else reason
    for start, end in _ENDS:
        if content.startswith(start) and end not in content[-16:]:
            return "truncated", "its end is missing"
    return "damaged", reason


def _look(source: ImageSource, index: int) -> dict | tuple[str, str]:
    if isinstance(source, ArraySource):
        pixels = _as_rgb(source.images[index])
        content = source.images[index].tobytes()
        kind = {1: "gray", 3: "RGB"}.get(source.channels, f"{source.channels} channels")
        header = Declared(pixels.shape[0], pixels.shape[1], kind)
    else:
        found = encoded_or_reason(source, index)
        if isinstance(found, str):
            return ("no-image" if found == "empty file" else "unreadable"), found
        content, picture = found, decode(found)
        if isinstance(picture, tuple):
            return picture
        pixels = picture
        header = declared(content) or Declared(pixels.shape[0], pixels.shape[1], "RGB")
        header = header._replace(height=pixels.shape[0], width=pixels.shape[1])
    return {
        "content": _digest(content),
        "pixels": _digest(pixels.tobytes(), str(pixels.shape).encode()),
        "hash": difference_hash(pixels),
        "header": header,
    }


def _as_rgb(image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        image = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.ascontiguousarray(image if image.shape[-1] == 3 else image[..., [0, 0, 0]])


def _digest(content: bytes, salt: bytes = b"") -> np.ndarray:
    key = hashlib.blake2b(content, digest_size=16, person=salt[:16]).digest()
    return np.frombuffer(key, np.uint64)
