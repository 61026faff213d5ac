"""Says why images cannot be read."""

import logging
import os
import stat
from collections.abc import Sequence

import tensorflow as tf

from .. import stores
from ..errors import InputError, named
from .decoding import DECODES_WEBP, FORMATS, WEBP_ADVICE, decode_image

_LOGGER = logging.getLogger("simclr_keras")
MOST_BYTES = 2**30  # of a file; the largest image that is decoded has 400 MB of pixels
START_BYTES = 32  # of a file, from which it is known what it is
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")
# First and last bytes of complete files. BMP has no end marker, so it is always decoded.
_COMPLETE = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    (b"GIF8", b"\x3b"),
)


def looks_complete(start: bytes, end: bytes | None = None, size: int | None = None) -> bool:
    """Whether an image starts and ends like a complete JPEG, PNG, GIF or WebP.

    Args:
        start: Its first `START_BYTES` bytes or more.
        end: Its last `START_BYTES` bytes or more. Defaults to `start`.
        size: The number of its bytes. Defaults to the length of `start`.
    """
    end = start if end is None else end
    size = len(start) if size is None else size
    if _is_webp(start):
        return _why_no_webp(start) is None and size >= 8 + int.from_bytes(start[4:8], "little")
    return any(start.startswith(a) and end.endswith(z) for a, z in _COMPLETE)


def why_unreadable(file: str) -> str | None:
    """Says why a file cannot be read, by decoding it in full.

    Args:
        file: Its path.

    Returns:
        The reason in a few words; `None` if it can be read.
    """
    content = read_regular(file)
    return content if isinstance(content, str) else why_undecodable(content)


def read_regular(file: str) -> bytes | str:
    """The bytes of a file, or why it cannot be read; never waits for a pipe or a device.

    Args:
        file: Its path, local or remote.
    """
    if stores.is_remote(file):
        try:
            size = stores.size(file)
            if size > MOST_BYTES:
                return _too_large(size)
            return stores.read(file) or "empty file"
        except stores.errors() as error:
            return stores.reason(error)
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):  # opening a device may already do something
            return "no regular file"
        if status.st_size > MOST_BYTES:
            return _too_large(status.st_size)
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            return stream.read() or "empty file"
    except OSError as error:
        return error.strerror or str(error)


def _too_large(size: int) -> str:
    return f"a file of {size / 2**30:.1f} GiB"


def why_damaged(content: bytes) -> str | None:
    """Says why an encoded image is damaged; decodes only one that does not look complete.

    Args:
        content: Its bytes.

    Returns:
        The reason in a few words; `None` if it looks complete or can be decoded.
    """
    return None if looks_complete(content) else why_undecodable(content)


def why_undecodable(content: bytes) -> str | None:
    """Says why an encoded image cannot be decoded, by decoding it in full.

    Args:
        content: Its bytes.

    Returns:
        The reason in a few words; `None` if it can be decoded.
    """
    if _is_webp(content):
        if reason := _why_no_webp(content):
            return reason
    elif not content.startswith(_STARTS):
        return f"not a {FORMATS} image"
    try:
        decode_image(tf.constant(content))
    except tf.errors.OpError:
        return "damaged, truncated, or of a kind that TensorFlow does not decode"
    return None


def _is_webp(content: bytes) -> bool:
    return content.startswith(b"RIFF") and content[8:12] == b"WEBP"


def _why_no_webp(content: bytes) -> str | None:
    if not DECODES_WEBP:
        return WEBP_ADVICE
    moves = content[12:16] == b"VP8X" and len(content) > 20 and content[20] & 2
    return "a moving WebP image" if moves else None


def refuse_or_skip(
    broken: Sequence[str], count: int, of_all: int, where: str, skip_unreadable: bool
) -> None:
    """Says that images cannot be read.

    Args:
        broken: Their names and reasons, of which a few are named.
        count: How many there are.
        of_all: The number of all images.
        where: What they are in.
        skip_unreadable: Log this as a warning.

    Raises:
        InputError: If they are not to be skipped, or if nothing would be left.
    """
    message = f"{count} of {of_all} images in {where} cannot be read: {named(broken)}"
    if not skip_unreadable:
        raise InputError(f"{message}. Move them away, or pretrain with `skip_unreadable`.")
    if count == of_all:
        raise InputError(f"{message}. Nothing is left: name another folder.")
    _LOGGER.warning("%s. They are skipped.", message)
