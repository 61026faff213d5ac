import io
import struct
import zlib

import encoded
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_keras.data.decoding import decode_image
from simclr_keras.data.headers import MAX_PIXELS, check_png_size, file_start, first_frame

RED = (250, 20, 10)


def _encode(kind, size=(7, 5), **options):
    stream = io.BytesIO()
    Image.new("RGB", size, RED).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("least_side", [None, 8])
def test_a_progressive_jpeg_is_refused_at_any_scale(least_side, run_mode):
    content = encoded.jpeg_bomb()
    assert len(content) < 10_000
    with pytest.raises(tf.errors.InvalidArgumentError, match="declares no pixels or more than"):
        run_mode(decode_image)(tf.constant(content), least_side)


def _declares(kind, width, height):
    """A small file that says it is an image of width x height."""
    content = _encode(kind)
    if kind == "JPEG":  # FF C0, two bytes of length, one of precision
        place = content.index(b"\xff\xc0") + 5
        sides = struct.pack(">HH", height, width)
    elif kind == "PNG":
        header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    elif kind == "GIF":
        place, sides = 6, struct.pack("<HH", width, height)
    else:
        place, sides = 18, struct.pack("<ii", width, height)
    return content[:place] + sides + content[place + len(sides) :]


@pytest.mark.parametrize("kind, exact", [("JPEG", 12), ("PNG", 0), ("BMP", 0), ("GIF", 0)])
def test_ordinary_files_are_decoded(kind, exact, run_mode):
    pixels = run_mode(decode_image)(tf.constant(_encode(kind))).numpy().astype(int)
    assert pixels.shape == (5, 7, 3) and np.abs(pixels - RED).max() <= exact


@pytest.mark.parametrize(
    "kind, width, height",
    [
        ("PNG", 2**31 - 1, 2**31 - 1),
        ("PNG", 12_000, 12_000),
        ("GIF", 65_535, 65_535),
        ("BMP", 20_000, 20_000),
        ("BMP", 20_000, -20_000),
        ("PNG", 0, 5),
        ("JPEG", 12_000, 12_000),
    ],
)
def test_what_a_file_declares_is_checked_before_decoding(kind, width, height, run_mode):
    with pytest.raises(tf.errors.InvalidArgumentError, match="declares no pixels or more than"):
        run_mode(decode_image)(tf.constant(_declares(kind, width, height)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_gigabytes_are_never_allocated(kind, run_mode):
    with pytest.raises(tf.errors.InvalidArgumentError):
        run_mode(decode_image)(tf.constant(_declares(kind, 60_000, 60_000)))


def test_the_limit_itself_is_allowed():
    rows = 2**12
    check_png_size(_declares("PNG", MAX_PIXELS // rows, rows))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Received: height, width"):
        check_png_size(_declares("PNG", MAX_PIXELS // rows + 1, rows))


def test_a_frame_larger_than_its_canvas_is_checked_too():
    content = _encode("GIF")
    place = content.index(b"\x2c") + 5
    content = content[:place] + struct.pack("<HH", 60_000, 60_000) + content[place + 4 :]
    with pytest.raises(tf.errors.InvalidArgumentError, match="declares no pixels or more than"):
        decode_image(content)


def _animation(frames):
    draw = np.random.default_rng(0)
    pictures = [
        Image.fromarray(draw.integers(0, 256, (40, 50), "uint8"), "L").convert("P")
        for _ in range(frames)
    ]
    stream = io.BytesIO()
    pictures[0].save(
        stream, "GIF", save_all=True, append_images=pictures[1:], comment=b"x" * 600
    )
    return stream.getvalue(), np.asarray(pictures[0].convert("RGB"))


@pytest.mark.parametrize("frames", [1, 2, 30])
def test_only_the_first_frame_of_a_gif_is_kept(frames, run_mode):
    content, first = _animation(frames)
    part = run_mode(lambda b: first_frame(b, file_start(b)))(tf.constant(content)).numpy()
    assert Image.open(io.BytesIO(part)).n_frames == 1
    assert content.startswith(part[:-1]) and len(part) < len(content) / frames + 2000
    np.testing.assert_array_equal(run_mode(decode_image)(tf.constant(content)), first)


@pytest.mark.parametrize("keep", [6, 12, 20, 700, 2000])
def test_a_gif_cut_off_in_its_first_frame_is_an_error(keep):
    content, _ = _animation(2)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(content[:keep])


@pytest.mark.parametrize(
    "content", [b"", b"B", b"\xff\xd8", b"RIFF\x10\0\0\0WAVEfmt ", b"PK\3\4"]
)
def test_other_files_are_named_as_such(content, run_mode):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="expected the bytes of a JPEG, PNG"
    ):
        run_mode(decode_image)(tf.constant(content))
