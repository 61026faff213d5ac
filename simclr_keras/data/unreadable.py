"""Says why images cannot be read."""

import logging
import os
import stat
from collections.abc import Sequence

import tensorflow as tf

from ..errors import InputError
from .decoding import decode_image

_LOGGER = logging.getLogger("simclr_keras")
_NAMED = 3  # how many images a message names
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM")
# First and last bytes of complete files. BMP has no end marker, so it is always decoded.
_COMPLETE = (
    (b"\xff\xd8\xff", b"\xff\xd9"),
    (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    (b"GIF8", b"\x3b"),
)


def looks_complete(start: bytes, end: bytes | None = None) -> bool:
    """Whether an image starts and ends like a complete JPEG, PNG or GIF.

    Args:
        start: Its first 8 bytes or more.
        end: Its last 8 bytes or more. Defaults to `start`.
    """
    end = start if end is None else end
    return any(start.startswith(a) and end.endswith(z) for a, z in _COMPLETE)


def why_unreadable(file: str) -> str | None:
    """Says why a file cannot be read, by decoding it in full.

    Args:
        file: Its path.

    Returns:
        The reason in a few words; `None` if it can be read.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return "no regular file"
        with open(file, "rb") as stream:
            content = stream.read()
    except OSError as error:
        return error.strerror or str(error)
    return why_undecodable(content) if content else "empty file"


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
    if not content.startswith(_STARTS):
        return "not a JPEG, PNG, GIF or BMP image"
    try:
        decode_image(tf.constant(content))
    except tf.errors.OpError:
        return "damaged, truncated, or of a kind that TensorFlow does not decode"
    return None


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
    more = f" and {len(broken) - _NAMED} more" if len(broken) > _NAMED else ""
    named = ", ".join(broken[:_NAMED]) + more
    message = f"{count} of {of_all} images in {where} cannot be read: {named}"
    if not skip_unreadable:
        raise InputError(f"{message}. Move them away, or pretrain with `skip_unreadable`.")
    if count == of_all:
        raise InputError(f"{message}. Nothing is left: name another folder.")
    _LOGGER.warning("%s. They are skipped.", message)
