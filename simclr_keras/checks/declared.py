"""`declared`: what the header of an image says, read without decoding it."""

import struct
import typing

_PNG_KINDS = {0: "gray", 2: "RGB", 3: "palette", 4: "gray with alpha", 6: "RGB with alpha"}
_JPEG_KINDS = {1: "gray", 3: "RGB", 4: "CMYK"}
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers that hold the size
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without content
_ORIENTATION = 0x0112
# Of formats that are not decoded: place and bytes by which they are known.
_OTHERS = (
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (4, b"ftypavi", "an AVIF"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftypmif1", "a HEIF"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\0\0\1\0", "an icon"),
)


class Declared(typing.NamedTuple):
    """What a header says.

    Attributes:
        height: In pixels.
        width: In pixels.
        kind: Its channels and their depth: "RGB", "gray", "palette", "CMYK", "RGB, 16 bit", ...
        orientation: How EXIF says that the picture is to be turned, 1 to 8; 1 is upright.
    """

    height: int
    width: int
    kind: str
    orientation: int = 1


def declared(content: bytes) -> Declared | None:
    """What the header of a JPEG, PNG, GIF, BMP or WebP says; `None` if it cannot be read.

    Args:
        content: The bytes of the file.

    Reference:
        ITU-T T.81 Annex B (JPEG); https://www.w3.org/TR/png-3/; GIF89a; BITMAPINFOHEADER;
        RFC 9649 (WebP); Exif 2.32, Section 4.6 (orientation).
    """
    try:
        for start, read in _READERS:
            if content.startswith(start):
                return read(content)
    except (struct.error, IndexError, KeyError):  # cut off, or values that there are not
        pass
    return None


def other_format(content: bytes) -> str | None:
    """The name, with its article, of a known format that is not decoded; `None` for others."""
    return next((name for at, key, name in _OTHERS if content.startswith(key, at)), None)


def _png(content: bytes) -> Declared:
    width, height, bits, colours = struct.unpack_from(">IIBB", content, 16)
    kind, orientation, place = _PNG_KINDS[colours], 1, 8
    while place + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        if name == b"tRNS" and " with alpha" not in kind:
            kind += " with alpha"
        elif name == b"eXIf":
            orientation = _orientation(content[place + 8 : place + 8 + length])
        elif name == b"IDAT" and orientation != 1:
            break
        place += length + 12
    return Declared(height, width, _deep(kind, bits), orientation)


def _jpeg(content: bytes) -> Declared:
    place, orientation = 2, 1
    while True:
        while content[place] != 0xFF:  # bytes between segments are ignored
            place += 1
        while content[place] == 0xFF:
            place += 1
        marker = content[place]
        place += 1
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", content, place)
        if marker == 0xE1 and content.startswith(b"Exif\0\0", place + 2):
            orientation = _orientation(content[place + 8 : place + length])
        elif marker in _JPEG_SIZES:
            bits, height, width, channels = struct.unpack_from(">BHHB", content, place + 2)
            return Declared(height, width, _deep(_JPEG_KINDS[channels], bits), orientation)
        place += length


def _gif(content: bytes) -> Declared:
    width, height = struct.unpack_from("<HH", content, 6)
    return Declared(height, width, "palette")


def _bmp(content: bytes) -> Declared:
    width, height = struct.unpack_from("<ii", content, 18)
    (bits,) = struct.unpack_from("<H", content, 28)
    kind = "palette" if bits <= 8 else "RGB with alpha" if bits == 32 else "RGB"
    return Declared(abs(height), abs(width), kind)


def _webp(content: bytes) -> Declared:
    kind, orientation = content[12:16], 1
    if kind == b"VP8X":
        flags = content[20]
        width, height = (
            1 + int.from_bytes(content[place : place + 3], "little") for place in (24, 27)
        )
        if flags & 8:
            place = content.rfind(b"EXIF")  # after the pixels
            exif = content[place + 8 :].removeprefix(b"Exif\0\0")
            orientation = _orientation(exif) if place >= 0 else 1
        return Declared(height, width, "RGB with alpha" if flags & 16 else "RGB", orientation)
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 21)
        alpha = packed >> 28 & 1
        sides = packed % 2**14 + 1, packed // 2**14 % 2**14 + 1
        return Declared(sides[1], sides[0], "RGB with alpha" if alpha else "RGB")
    width, height = struct.unpack_from("<HH", content, 26)
    return Declared(height % 2**14, width % 2**14, "RGB")


def _deep(kind: str, bits: int) -> str:
    return kind if bits == 8 or kind.startswith("palette") else f"{kind}, {bits} bit"


def _orientation(exif: bytes) -> int:
    """The orientation in the first directory of EXIF data; 1 if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for place in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, place)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


_READERS = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    (b"RIFF", _webp),
)
