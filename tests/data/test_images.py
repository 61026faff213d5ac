import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_keras.data.images import (
    decode_image,
    resize_and_center_crop,
    to_unit_range,
)


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
    module.decode = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for kind in ("PNG", "BMP"):
        decoded = loaded.decode(tf.constant(_encode(picture, kind)))
        np.testing.assert_array_equal(decoded, np.asarray(picture))


def test_uint8_is_divided_by_255(run_mode):
    images = run_mode(to_unit_range)(np.array([[0, 51, 255]], "uint8"))
    assert images.dtype == tf.float32
    np.testing.assert_allclose(images, [[0.0, 0.2, 1.0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_floating_point_is_passed_through(run_mode, dtype):
    images = run_mode(to_unit_range)(tf.constant([0.0, 0.5, 1.0], dtype))
    assert images.dtype == tf.float32
    np.testing.assert_array_equal(images, [0.0, 0.5, 1.0])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "bool"])
def test_another_dtype_is_named(dtype):
    with pytest.raises(ValueError, match=f"uint8 in 0-255.*Received: dtype={dtype}"):
        to_unit_range(np.zeros((2, 2), dtype))


@pytest.mark.parametrize("wrong", [255.0, 1.01, -0.01, float("nan")])
def test_floating_point_outside_0_1_says_how_to_mend_it(run_mode, wrong):
    errors = (ValueError, tf.errors.InvalidArgumentError)
    with pytest.raises(errors) as caught:
        run_mode(to_unit_range)(tf.constant([[0.5, wrong]]))
    text = str(caught.value)
    assert "must be in [0, 1]" in text and "image_dataset_from_directory" in text
    assert "dataset.map(lambda images: images / 255.0)" in text
    assert "Received: values from" in text and f"{wrong:g}" in text


def test_works_when_compiled_by_xla():
    images = tf.function(to_unit_range, jit_compile=True)(tf.constant([0.25, 1.0]))
    np.testing.assert_array_equal(images, [0.25, 1.0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 500, 3), (300, 2, 1), (33, 17, 4)])
def test_resize_of_any_shape(rng, run_mode, shape):
    image = rng.integers(0, 256, shape, "uint8")
    resized = run_mode(resize_and_center_crop)(image, 9)
    assert resized.shape == (9, 9, shape[-1]) and resized.dtype == tf.float32
    assert float(tf.reduce_min(resized)) >= 0 and float(tf.reduce_max(resized)) <= 1


def test_resize_takes_the_central_square(rng):
    image = rng.integers(0, 256, (8, 14, 3), "uint8")
    resized = resize_and_center_crop(image, 8)
    np.testing.assert_allclose(resized, image[:, 3:11] / np.float32(255), rtol=1e-6)


def test_resize_averages_all_pixels():
    # Without antialiasing a stripe pattern would come out as one of its two colours.
    stripes = np.tile(np.array([[0], [255]], "uint8"), (32, 64))[..., None]
    resized = resize_and_center_crop(stripes, 4)
    np.testing.assert_allclose(resized, np.full((4, 4, 1), 0.5), atol=0.02)


def test_resize_of_a_batch_is_that_of_its_images(rng):
    images = rng.integers(0, 256, (3, 20, 13, 3), "uint8")
    one_by_one = [resize_and_center_crop(image, 7) for image in images]
    np.testing.assert_array_equal(resize_and_center_crop(images, 7), one_by_one)
