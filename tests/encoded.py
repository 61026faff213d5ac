"""Encoded images of every kind, and files that are made to hurt."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from simclr_keras.data.decoding import DECODES_WEBP


def encoded_images():
    """name -> the bytes of a JPEG, PNG, GIF, BMP or, if it is decoded, WebP, written by Pillow."""
    draw = np.random.default_rng(2)

    def encode(kind, size, mode="RGB", **options):
        pixels = draw.integers(0, 256, (size[1], size[0], 3), "uint8")
        image = Image.fromarray(pixels).convert(mode)
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    return {
        "jpeg": encode("JPEG", (33, 20)),
        "progressive_jpeg": encode("JPEG", (20, 33), progressive=True),
        "gray_jpeg": encode("JPEG", (33, 20), "L"),
        "cmyk_jpeg": encode("JPEG", (33, 20), "CMYK"),
        "png": encode("PNG", (16, 16)),
        "gray_png": encode("PNG", (10, 40), "L"),
        "rgba_png": encode("PNG", (18, 16), "RGBA"),
        "palette_png": encode("PNG", (40, 30), "P"),
        "gif": encode("GIF", (25, 31)),
        "bmp": encode("BMP", (25, 31)),
        **({"webp": encode("WEBP", (25, 31))} if DECODES_WEBP else {}),
        "1x1_png": encode("PNG", (1, 1)),
        "1x1_jpeg": encode("JPEG", (1, 1)),
        "large_jpeg": encode("JPEG", (90, 70)),  # decoded smaller for 16 pixels
        "long_jpeg": encode("JPEG", (3000, 2)),
        "tall_png": encode("PNG", (1, 5000)),
    }


def zip_bomb():
    """A PNG of some 500 kB, complete and valid, that decodes to 430 MB."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    side, rows = 12_000, 100
    pack = zlib.compressobj(9)
    head = pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(rows * (1 + 3 * side))) + pack.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, wbits=-15).flush()  # an empty final block
    adler = struct.pack(">I", side * (1 + 3 * side) % 65_521 << 16 | 1)  # of zeros
    pixels = head + block * (side // rows) + last + adler
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_bomb():
    """A progressive JPEG of 4 kB that declares 23,000 x 23,000 pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (600, 600)).save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    place = content.index(b"\xff\xc2") + 5  # two bytes of length, one of precision
    return content[:place] + struct.pack(">HH", 23_000, 23_000) + content[place + 4 :]


def many_frames():
    """A GIF of 100 frames that decoded together would take 300 MB."""
    frames = [Image.new("P", (1000, 1000), index) for index in range(100)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()
