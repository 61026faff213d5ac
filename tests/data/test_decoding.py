import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_keras.data.decoding import (
    DECODES_WEBP,
    WEBP_ADVICE,
    decode_image,
    decode_in_pipeline,
)
from simclr_keras.data.images import resize_and_center_crop
from simclr_keras.data.unreadable import why_undecodable


def _encode(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture
def picture():
    """Smooth colours of 20 x 30 pixels, which JPEG keeps."""
    y, x = np.mgrid[:20, :30]
    return Image.fromarray(np.stack([8 * x, 12 * y, 4 * (x + y)], -1).astype("uint8"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_png_equals_pillow(picture, run_mode, mode):
    image = picture.convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.arange(600, dtype="uint8").reshape(20, 30)))
    decoded = run_mode(decode_image)(tf.constant(_encode(image, "PNG")))
    # Alpha is dropped, not blended.
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


def test_16_bit_png_keeps_the_high_byte():
    values = np.arange(600, dtype="uint16").reshape(20, 30) * 100
    decoded = decode_image(tf.io.encode_png(values[..., None]))
    np.testing.assert_array_equal(decoded, np.repeat(values[..., None] // 256, 3, -1))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_bmp_equals_pillow(picture, run_mode, mode):
    image = picture.convert(mode)
    decoded = run_mode(decode_image)(tf.constant(_encode(image, "BMP")))
    np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB")))


@pytest.mark.skipif(not DECODES_WEBP, reason="this TensorFlow does not decode WebP")
@pytest.mark.parametrize("options", [{}, {"lossless": True, "exact": True}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_equals_pillow(picture, run_mode, mode, options):
    content = _encode(picture.convert(mode), "WEBP", **options)
    decoded = run_mode(decode_image)(tf.constant(content))
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(decoded, expected)


def test_webp_that_is_refused_says_what_to_do(picture, run_mode):
    moving = _encode(picture, "WEBP", save_all=True, append_images=[Image.new("RGB", (30, 20))])
    expected = "A moving WebP image" if DECODES_WEBP else "convert it to a PNG or JPEG"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        run_mode(decode_image)(tf.constant(moving))
    if not DECODES_WEBP:
        still = _encode(picture, "WEBP")
        with pytest.raises(tf.errors.InvalidArgumentError, match="mogrify -format png"):
            run_mode(decode_image)(tf.constant(still))
        assert why_undecodable(still) == WEBP_ADVICE


def test_a_jpeg_too_large_at_full_scale_is_refused_at_every_scale(picture, run_mode):
    content = bytearray(_encode(picture, "JPEG"))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 23_000, 23_000)
    for least_side in (None, 16):
        with pytest.raises(tf.errors.InvalidArgumentError):
            run_mode(lambda c, s=least_side: decode_image(c, s))(tf.constant(bytes(content)))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_equals_pillow(picture, run_mode, mode):
    content = _encode(picture.convert(mode), "JPEG", quality=95, subsampling=0)
    decoded = run_mode(decode_image)(tf.constant(content))
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    # TensorFlow decodes with the fast integer DCT, Pillow with the exact one.
    assert np.abs(np.asarray(decoded, int) - expected).max() <= 8


def test_gif_is_its_first_frame(picture, run_mode):
    first = picture.convert("P")
    other = Image.new("P", picture.size)
    content = _encode(first, "GIF", save_all=True, append_images=[other])
    decoded = run_mode(decode_image)(tf.constant(content))
    np.testing.assert_array_equal(decoded, np.asarray(first.convert("RGB")))


def test_exif_orientation_is_ignored(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    decoded = decode_image(tf.constant(_encode(picture, "JPEG", exif=exif)))
    assert decoded.shape == (20, 30, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_cut_off_image_is_an_error(picture, kind):
    content = _encode(picture, kind)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(content[: len(content) // 2]))


@pytest.mark.parametrize("content", [b"", b"BM", b"no image at all"])
def test_other_bytes_are_an_error(content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode_image(tf.constant(content))


def test_decodes_in_a_saved_model(picture, tmp_path):
    module = tf.Module()
    module.decode = tf.function(
        lambda image_bytes: decode_image(image_bytes, 5),
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for kind in ("PNG", "BMP"):
        decoded = loaded.decode(tf.constant(_encode(picture, kind)))
        np.testing.assert_array_equal(decoded, np.asarray(picture))
    assert loaded.decode(tf.constant(_encode(picture, "JPEG"))).shape == (5, 8, 3)


@pytest.mark.slow
def test_a_pipeline_decodes_the_same_pixels(encoded_images):
    for least_side in (None, 16):
        for name, content in encoded_images.items():
            dataset = tf.data.Dataset.from_tensors(content)
            dataset = dataset.map(lambda c, s=least_side: decode_in_pipeline(c, s))
            (pixels,) = dataset
            expected = decode_image(tf.constant(content), least_side)
            np.testing.assert_array_equal(pixels, expected, err_msg=name)


@pytest.mark.parametrize("least_side", [None, 16])
@pytest.mark.parametrize(
    "content", [b"", b"GIF8", b"BM", b"no image", b"\xff\xd8\xff broken", "bomb"]
)
def test_a_pipeline_refuses_what_is_no_image(content, least_side):
    if content == "bomb":  # a PNG that declares 2^32 pixels
        content = bytearray(tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8)).numpy())
        content[16:24] = (65536).to_bytes(4, "big") * 2
        content = bytes(content)
    dataset = tf.data.Dataset.from_tensors(content)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(dataset.map(lambda c: decode_in_pipeline(c, least_side)))


@pytest.mark.parametrize(
    "least_side, side", [(81, 160), (80, 80), (41, 80), (40, 40), (20, 20), (3, 20)]
)
def test_jpegs_are_decoded_at_the_least_scale_that_keeps_the_side(run_mode, least_side, side):
    # 160 x 240: a half has 80 rows, a quarter 40, an eighth 20; there is no smaller one.
    content = tf.io.encode_jpeg(np.zeros((160, 240, 3), "uint8"))
    for decode in (decode_image, decode_in_pipeline):
        decoded = run_mode(lambda c, d=decode: d(c, least_side))(content)
        assert decoded.shape == (side, side * 3 // 2, 3)


def test_the_smaller_scale_looks_like_the_whole(rng):
    coarse = rng.random((6, 9, 3)).astype("float32")
    image = tf.clip_by_value(tf.image.resize(coarse, (320, 480), "bicubic"), 0, 1)
    content = tf.io.encode_jpeg(tf.cast(image * 255, tf.uint8), quality=98)
    whole, reduced = (
        resize_and_center_crop(decode_image(content, least_side), 32)
        for least_side in (None, 32)
    )
    assert np.abs(whole - reduced).max() < 0.03 and np.abs(whole - reduced).mean() < 0.005
