"""Odd files and names of every kind, each with what is expected of it.

A file is `READ` by every command; `REFUSED` when a folder is loaded, because its beginning and end
say that it cannot be read; `HIDDEN`, which shows only when it is decoded; or `IGNORED`, because
of its name or because it is no file.
"""

import dataclasses
import functools
import io
import os
import pathlib
import stat
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from simclr_keras.data.decoding import DECODES_WEBP

READ, REFUSED, HIDDEN, IGNORED = "read", "refused", "hidden", "ignored"
UNDECODABLE = "damaged, truncated, or of a kind that TensorFlow does not decode"
NO_IMAGE = "not a JPEG, PNG, GIF, BMP or WebP image"


@dataclasses.dataclass(frozen=True)
class Odd:
    """An odd file.

    Attributes:
        name: Its path within the zoo; its folder is its class.
        content: Its bytes, or what makes it of its path.
        expected: What is expected of it.
        reason: A part of why it cannot be read.
        kind: The kind of finding under which `check_data` must name it.
    """

    name: str
    content: bytes | Callable[[pathlib.Path], object]
    expected: str = READ
    reason: str = ""
    kind: str | None = None


def make_zoo(folder: pathlib.Path) -> list[Odd]:
    """Writes the zoo into a folder; returns what could be made on this file system."""
    made = []
    for odd in all_odd():
        path = folder / odd.name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(odd.content, bytes):
                path.write_bytes(odd.content)
            else:
                odd.content(path)
        except OSError:  # such a name, or kind of file, cannot be made here
            continue
        made.append(odd)
    return made


@functools.cache
def all_odd() -> tuple[Odd, ...]:
    return (*_formats(), *_damage(), *_sizes(), *_names(), *_kinds())


def encode(kind: str, size=(40, 48), mode: str = "RGB", seed: int = 0, **options) -> bytes:
    """A picture of large patches, which survive compression, in a format of Pillow's."""
    draw = np.random.default_rng([seed, *size, *kind.encode(), *mode.encode()])
    patches = Image.fromarray(draw.integers(0, 256, (6, 5, 3), "uint8"))
    image = patches.resize(size, Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, bits: int, colours: int, rows: bytes, *chunks) -> bytes:
    """A PNG of raw rows, each with its filter byte, whatever its header declares."""
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )  # fmt: skip


def _webp(content: bytes, name: str, *rest) -> Odd:
    """A WebP, which older versions of TensorFlow do not decode."""
    if DECODES_WEBP:
        return Odd(name, content, *rest)
    return Odd(name, content, REFUSED, "does not decode: convert it", "damaged")


def _formats():
    noise = np.random.default_rng(5)
    deep = b"".join(b"\0" + noise.bytes(40 * 6) for _ in range(48))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(noise.integers(0, 256, (40, 40, 3), "uint8")) for _ in range(3)]
    several = dict(save_all=True, append_images=frames[1:])

    def moving(kind):
        stream = io.BytesIO()
        frames[0].save(stream, kind, **several)
        return stream.getvalue()

    def other(name, content):
        return Odd(f"formats/{name}", content, READ, "", "other-kind")

    yield Odd("formats/plain.jpg", encode("JPEG", seed=1))
    yield Odd("formats/progressive.jpg", encode("JPEG", seed=2, progressive=True))
    yield Odd("formats/optimized 411.jpg", encode("JPEG", seed=3, optimize=True, subsampling=2))
    yield other("gray.jpg", encode("JPEG", mode="L", seed=4))
    yield other("cmyk.jpg", encode("JPEG", mode="CMYK", seed=5))
    turned = encode("JPEG", seed=6, exif=exif.tobytes())
    yield Odd("formats/turned by exif.jpg", turned, READ, "", "orientation")
    yield Odd("formats/turned.png", encode("PNG", seed=7, exif=exif), READ, "", "orientation")
    yield Odd("formats/comment.jpg", encode("JPEG", seed=8, comment=b"\xff\xd9" * 99))
    yield Odd("formats/plain.png", encode("PNG", seed=9))
    yield other("gray.png", encode("PNG", mode="L", seed=10))
    yield other("alpha.png", encode("PNG", mode="RGBA", seed=11))
    yield other("gray alpha.png", encode("PNG", mode="LA", seed=12))
    yield other("palette.png", encode("PNG", mode="P", seed=13))
    yield other("one bit.png", encode("PNG", mode="1", seed=14))
    deep_gray = b"".join(b"\0" + noise.bytes(40 * 2) for _ in range(48))
    yield other("deep gray.png", png(40, 48, 16, 0, deep_gray))
    yield other("deep.png", png(40, 48, 16, 2, deep))
    flat = b"".join(b"\0" + noise.bytes(40 * 3) for _ in range(48))
    transparent = png(40, 48, 8, 2, flat, (b"tRNS", bytes(6)))
    yield other("transparent.png", transparent)
    yield Odd("formats/moving.png", moving("PNG"), READ, "", "near-duplicates")  # of the GIF
    yield other("plain.gif", encode("GIF", seed=16))
    yield other("moving.gif", moving("GIF"))
    yield Odd("formats/plain.bmp", encode("BMP", seed=17))
    yield other("palette.bmp", encode("BMP", mode="P", seed=18))
    yield other("alpha.bmp", encode("BMP", mode="RGBA", seed=19))
    upright = bytearray(encode("BMP", seed=20))
    upright[22:26] = struct.pack("<i", -48)  # rows from top to bottom
    yield Odd("formats/top down.bmp", bytes(upright))
    one_bit = encode("BMP", mode="1", seed=21)
    yield Odd("formats/one bit.bmp", one_bit, REFUSED, UNDECODABLE, "damaged")
    header = struct.pack("<IiiHHIIiiII", 40, 40, 4, 1, 8, 1, 16, 0, 0, 256, 0)
    rows = bytes([40, 7, 0, 0] * 4)
    start = struct.pack("<2sIHHI", b"BM", 14 + 40 + 1024 + len(rows), 0, 0, 14 + 40 + 1024)
    runs = start + header + bytes(1024) + rows
    yield Odd("formats/runs.bmp", runs, REFUSED, UNDECODABLE, "damaged")
    yield _webp(encode("WEBP", seed=22), "formats/lossy.webp")
    yield _webp(encode("WEBP", seed=23, lossless=True), "formats/lossless.webp")
    alpha = encode("WEBP", mode="RGBA", seed=24)
    yield _webp(alpha, "formats/lossy, with alpha.webp")
    named = encode("WEBP", seed=25, exif=exif.tobytes())
    yield _webp(named, "formats/a WebP.jpg", READ, "", "orientation")
    yield _webp(moving("WEBP"), "formats/moving.webp", REFUSED, "a moving WebP", "damaged")
    yield Odd("formats/a PNG.jpg", encode("PNG", seed=26))
    yield Odd("formats/a JPEG.png", encode("JPEG", seed=27))
    yield Odd("formats/a JPEG.bmp", encode("JPEG", seed=28))
    yield other("a GIF.png", encode("GIF", seed=29))
    for name, content in (
        ("a TIFF.jpg", encode("TIFF", seed=30)),
        ("an AVIF.png", b"\0\0\0\x1cftypavif" + bytes(99)),
        ("a HEIC.jpg", b"\0\0\0\x18ftypheic" + bytes(99)),
        ("a JPEG 2000.png", encode("JPEG2000", seed=31)),
        ("a PDF.png", b"%PDF-1.7\n" + bytes(99)),
        ("an SVG.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ):
        yield Odd(f"formats/{name}", content, REFUSED, NO_IMAGE, "no-image")
    yield Odd("formats/named.tiff", encode("TIFF", seed=32), IGNORED, "", "other-suffix")
    heic = b"\0\0\0\x18ftypheic" + bytes(99)
    yield Odd("formats/named.heic", heic, IGNORED, "", "other-suffix")
    yield Odd("formats/no suffix", encode("PNG", seed=33), IGNORED, "", "other-suffix")
    yield Odd("formats/notes.txt", b"no image, and no finding", IGNORED)


def _damage():
    whole = {kind: encode(kind, seed=40) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP")}
    for place in (3, 10, 100, 300, 0.5, 0.7, 0.9, 0.99, -5, -2):
        end = int(place * len(whole["JPEG"])) if isinstance(place, float) else place
        content = whole["JPEG"][:end]
        yield Odd(f"damage/cut at {place}.jpg", content, REFUSED, "damaged", "truncated")
    for place in (20, 0.5, -12):
        end = int(place * len(whole["PNG"])) if isinstance(place, float) else place
        content = whole["PNG"][:end]
        yield Odd(f"damage/cut at {place}.png", content, REFUSED, "damaged", "truncated")
    for kind in ("GIF", "BMP"):
        content = whole[kind][: len(whole[kind]) // 2]
        kind, found = kind.lower(), "truncated" if kind == "GIF" else "damaged"
        yield Odd(f"damage/cut.{kind}", content, REFUSED, "damaged", found)
    cut = whole["WEBP"][: len(whole["WEBP"]) // 2]
    yield _webp(cut, "damage/cut.webp", REFUSED, "damaged", "damaged")
    for kind in ("JPEG", "PNG"):
        content = encode(kind, seed=41) + b"\0" * 50 + b"after the end"
        yield Odd(f"damage/bytes after the end.{kind.lower()}", content)
    for place in (45, 0.5, 0.9):  # inside the compressed pixels
        content = bytearray(encode("PNG", seed=42))
        at = int(place * len(content)) if isinstance(place, float) else place
        content[at] ^= 0xFF
        yield Odd(
            f"damage/wrong byte {place}.png", bytes(content), HIDDEN, "damaged", "damaged"
        )
    checksum = bytearray(encode("PNG", seed=43))
    checksum[29] ^= 0xFF
    yield Odd("damage/wrong header.png", bytes(checksum), HIDDEN, "damaged", "damaged")
    hollow = b"\xff\xd8\xff\xe0" + bytes(64) + b"\xff\xd9"
    yield Odd("damage/hollow.jpg", hollow, HIDDEN, "damaged", "damaged")
    yield Odd("damage/empty.jpg", b"", REFUSED, "empty file", "no-image")
    yield Odd("damage/text.png", b"no image", REFUSED, NO_IMAGE, "no-image")
    page = b"<!doctype html><title>404</title>"
    yield Odd("damage/not found.jpg", page, REFUSED, NO_IMAGE, "no-image")
    yield Odd("damage/zeros.gif", bytes(4096), REFUSED, NO_IMAGE, "no-image")
    yield Odd("damage/signature.png", b"\x89PNG\r\n\x1a\n", REFUSED, "damaged", "truncated")
    yield Odd("damage/two letters.bmp", b"BM", REFUSED, "damaged", "damaged")


def _sizes():
    side = 23_000
    yield Odd("sizes/1x1.png", encode("PNG", (1, 1)), READ, "", "tiny")
    yield Odd("sizes/1x1.jpg", encode("JPEG", (1, 1)), READ, "", "tiny")
    yield Odd("sizes/1x5000.png", encode("PNG", (1, 5000)), READ, "", "tiny")
    yield Odd("sizes/5000x1.jpg", encode("JPEG", (5000, 1)), READ, "", "tiny")
    yield Odd("sizes/31x64.png", encode("PNG", (31, 64)), READ, "", "tiny")
    bomb = png(side, side, 8, 2, bytes(3000))
    yield Odd("sizes/bomb.png", bomb, HIDDEN, "damaged", "size")
    yield Odd("sizes/no pixels.png", png(0, 5, 8, 2, b""), HIDDEN, "damaged", "size")
    jpeg = bytearray(encode("JPEG", seed=50))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", side, side)
    yield Odd("sizes/bomb.jpg", bytes(jpeg), HIDDEN, "damaged", "size")
    gif = bytearray(encode("GIF", seed=51))
    gif[6:10] = struct.pack("<HH", side, side)
    yield Odd("sizes/bomb.gif", bytes(gif), HIDDEN, "damaged", "size")
    bmp = bytearray(encode("BMP", seed=52))
    bmp[18:26] = struct.pack("<ii", side, side)
    yield Odd("sizes/bomb.bmp", bytes(bmp), REFUSED, "damaged", "size")
    packed = struct.pack("<I", 16_382 | 16_382 << 14)
    webp = (
        b"RIFF"
        + struct.pack("<I", 118)
        + b"WEBPVP8L"
        + struct.pack("<I", 106)
        + b"\x2f"
        + packed
    )
    webp += bytes(101)
    if DECODES_WEBP:
        yield Odd("sizes/bomb.webp", webp, HIDDEN, "damaged", "size")
    else:
        yield Odd("sizes/bomb.webp", webp, REFUSED, "does not decode", "size")


def _names():
    names = (
        "with spaces.png", "new\nline.png", "tab\t.png", "return\r.png", "-leading dash.png",
        "--output=x.png", "\x1b[31mred\x1b[2J.png", "\x1b]0;title\x07.png", "bell\x07.png",
        "line\u2028separator.png", "next\x85line.png", "paragraph\u2029.png", " leading space.png",
        "no-break\u00a0space.png", "right\u202eto left.png", "zero\u200bwidth.png",
        "<script>alert(1)<script>.png", "<img src=x onerror=alert(1)>.png".replace("/", ""),
        "&amp;.png", "single'quote.png", 'double"quote.png', "back`tick.png", "back\\slash.png",
        "comma, semicolon;.png", "percent%20%s%n.png", "hash#question?.png", "$(touch x).png",
        "star*[a-z]{b}.png", "colon:.png", "pipe|.png", "tilde~.png", "equals=name.png",
        "UPPER.PNG", "two.jpg.png", "dots...png", "\u6587\u4ef6.png",
        "\u0641\u0627\u06cc\u0644\u200c\u0647\u0627.png",
        "\u0e23\u0e39\u0e1b.png", "\U0001f600\U0001f469\u200d\U0001f52c.png", "e\u0301 decomposed.png",
        "\u00e9 composed.png", "x" * 251 + ".png", "\udcff\udcfe no utf-8.png", "caf\udce9.png",
        "null.png", "nan.png", "0.png", "\x01\x02\x03.png", "\x7f delete.png", "batch_size=3.png",
        "`run_dir`.png",
    )  # fmt: skip
    for number, name in enumerate(names):
        yield Odd(f"names/{name}", encode("PNG", seed=100 + number))
    for number, name in enumerate((" outer spaces .png", "outer spaces.png")):
        yield Odd(f"names/{name}", encode("PNG", seed=200 + number))
    trailing = encode("PNG", seed=210)
    yield Odd("names/trailing space.png ", trailing, IGNORED, "", "other-suffix")
    yield Odd("names/.hidden.png", trailing, IGNORED)
    yield Odd("names/.png", trailing, IGNORED)
    for number, name in enumerate((" outer ", "a,b", "\x1b[1m", "caf\udce9", "<b>")):
        for image in range(2):
            yield Odd(f"{name}/{image}.png", encode("PNG", seed=300 + 2 * number + image))


def _kinds():
    def link(target: str):
        return lambda path: path.symlink_to(target)

    twin = encode("PNG", seed=400)
    yield Odd("kinds/twin 1.png", twin, READ, "", "duplicates")
    yield Odd("kinds/twin 2.png", twin, READ, "", "duplicates")
    yield Odd("kinds/same pixels 1.png", encode("PNG", seed=401), READ, "", "duplicates")
    pixels = encode("PNG", seed=401, compress_level=1) + b"after the end"
    yield Odd("kinds/same pixels 2.png", pixels, READ, "", "duplicates")
    photo = encode("PNG", (200, 240), seed=402)
    again = io.BytesIO()
    Image.open(io.BytesIO(photo)).resize((100, 120)).save(again, "JPEG", quality=80)
    yield Odd("kinds/photo.png", photo, READ, "", "near-duplicates")
    yield Odd("kinds/photo again.jpg", again.getvalue(), READ, "", "near-duplicates")
    yield Odd("kinds/link.png", link("twin 1.png"), READ, "", "duplicates")
    yield Odd("kinds/dangling.png", link("nowhere.png"), REFUSED, "No such file", "unreadable")
    itself = "Too many levels of symbolic links"
    yield Odd(
        "kinds/link to itself.png", link("link to itself.png"), REFUSED, itself, "unreadable"
    )
    yield Odd("kinds/loop", link(".."), IGNORED, "", "links")
    yield Odd("renamed", link("names"), IGNORED, "", "links")
    yield Odd("kinds/folder.png", lambda path: path.mkdir(), IGNORED)
    yield Odd("empty class", lambda path: path.mkdir(), IGNORED, "", "empty-class")
    yield Odd("single/only.png", encode("PNG", seed=403))
    yield Odd("kinds/pipe.png", os.mkfifo, IGNORED, "", "unreadable")
    socket = functools.partial(os.mknod, mode=stat.S_IFSOCK | 0o600)
    yield Odd("kinds/socket.png", socket, IGNORED, "", "unreadable")
    yield Odd("kinds/endless.png", link("/dev/zero"), IGNORED, "", "unreadable")
    yield Odd("kinds/nothing.jpg", link("/dev/null"), IGNORED, "", "unreadable")
    if os.geteuid():  # root may read every file

        def locked(path):
            path.write_bytes(twin)
            path.chmod(0)

        yield Odd("kinds/locked.png", locked, REFUSED, "Permission denied", "unreadable")
