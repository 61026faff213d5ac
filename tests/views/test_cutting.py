import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_keras import SimCLRAugmenter
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.file_source import FileSource
from simclr_keras.views.cutting import CropCutter

PLAIN = {"color_jitter_strength": 0, "grayscale_probability": 0, "blur": False}


def _cut(cutter, image, step=9, position=0):
    position = tf.constant([position], tf.int64)
    return cutter.cut(image, cutter.draw(tf.constant(step, tf.int64), position)[0])


def _smooth(rng, height, width):
    """An image whose detail survives a change of scale."""
    coarse = rng.random((4, 5, 3)).astype("float32")
    image = tf.image.resize(coarse, (height, width), method="bicubic")
    return tf.cast(tf.round(tf.clip_by_value(image, 0, 1) * 255), tf.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [12, 30, 90])  # enlarged, about the same, reduced
def test_the_same_crops_as_on_the_device(rng, side, interpolation):
    images = rng.integers(0, 256, (3, side, side, 3), "uint8")
    augmenter = SimCLRAugmenter(16, interpolation=interpolation, **PLAIN)
    cutter = CropCutter(augmenter, seed=4)
    cut = tf.stack([_cut(cutter, tf.constant(x), position=p) for p, x in enumerate(images)])
    assert cut.shape == (3, 2, 16, 16, 3) and cut.dtype == tf.uint8
    for a, b in zip(augmenter(cut, seed=(4, 9)), augmenter(images, seed=(4, 9))):
        np.testing.assert_allclose(a, b, atol=0.51 / 255 + 1e-4)


@pytest.mark.slow
def test_as_many_crops_as_views(rng):
    images = rng.integers(0, 256, (3, 30, 30, 3), "uint8")
    augmenter = SimCLRAugmenter(16, views=4, **PLAIN)
    cutter = CropCutter(augmenter, seed=4)
    cut = tf.stack([_cut(cutter, tf.constant(x), position=p) for p, x in enumerate(images)])
    assert cut.shape == (3, 4, 16, 16, 3)
    for a, b in zip(augmenter(cut, seed=(4, 9)), augmenter(images, seed=(4, 9)), strict=True):
        np.testing.assert_allclose(a, b, atol=0.51 / 255 + 1e-4)
    with pytest.raises(ValueError, match="a crop for each of 4 views"):
        augmenter(cut[:, :3], seed=(4, 9))


@pytest.mark.slow
def test_one_view_is_the_first_of_two(rng):
    images = rng.integers(0, 256, (3, 30, 30, 3), "uint8")
    augmenter = SimCLRAugmenter(16)
    one, two = (CropCutter(augmenter, seed=4, views=views) for views in (1, 2))
    crops = [
        tf.stack([_cut(cutter, tf.constant(x), position=p) for p, x in enumerate(images)])
        for cutter in (one, two)
    ]
    assert crops[0].shape == (3, 1, 16, 16, 3)
    np.testing.assert_array_equal(crops[0][:, 0], crops[1][:, 0])
    for batch in (images, crops[0], crops[1]):
        view = augmenter.one_view(batch, seed=(4, 9), first_position=2)
        assert view.shape == (3, 16, 16, 3)
        both = crops[1] if batch is crops[0] else batch
        first, _ = augmenter(both, seed=(4, 9), first_position=2)
        np.testing.assert_array_equal(view, first)


@pytest.mark.slow
@pytest.mark.parametrize("encode", [tf.io.encode_jpeg, tf.io.encode_png])
@pytest.mark.parametrize("reduced_scales", [True, False])
def test_one_crop_of_an_encoded_image(rng, encode, reduced_scales):
    augmenter = SimCLRAugmenter(16, crop_area=(1.0, 1.0), **PLAIN)  # both crops at one scale
    dataset = tf.data.Dataset.from_tensors(encode(_smooth(rng, 90, 80)))
    one, two = (
        CropCutter(augmenter, seed=1, reduced_scales=reduced_scales, views=views)
        for views in (1, 2)
    )
    (one,), (two,) = (dataset.map(lambda x, c=c: _cut(c, x)) for c in (one, two))
    assert one.shape == (1, 16, 16, 3)
    np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.slow
def test_colour_and_flip_follow_on_the_device(rng):
    images = rng.integers(0, 256, (3, 30, 30, 3), "uint8")
    augmenter = SimCLRAugmenter(24)
    cutter = CropCutter(augmenter, seed=4)
    cut = tf.stack([_cut(cutter, tf.constant(x), position=p) for p, x in enumerate(images)])
    for a, b in zip(augmenter(cut, seed=(4, 9)), augmenter(images, seed=(4, 9))):
        assert np.abs(a - b).mean() < 0.01


def _encode_bmp(image):
    stream = io.BytesIO()
    Image.fromarray(image.numpy()).convert("P").save(stream, "BMP")  # with a palette
    return tf.constant(stream.getvalue())


def _encode_gif(image):
    stream = io.BytesIO()
    frame = Image.fromarray(image.numpy())
    frame.save(stream, "GIF", save_all=True, append_images=[frame.rotate(90)])
    return tf.constant(stream.getvalue())


@pytest.mark.parametrize(
    "encode", [tf.io.encode_png, tf.io.encode_jpeg, _encode_bmp, _encode_gif]
)
def test_encoded_images_in_a_dataset(rng, encode):
    image = _smooth(rng, 40, 52)
    cutter = CropCutter(SimCLRAugmenter(24, **PLAIN), seed=1)
    encoded = encode(image)
    drawn = cutter.draw(tf.constant(3, tf.int64), tf.range(4, dtype=tf.int64))
    dataset = tf.data.Dataset.from_tensor_slices(drawn).map(lambda d: cutter.cut(encoded, d))
    decoded = decode_image(encoded)
    for row, cut in zip(drawn, dataset):
        np.testing.assert_array_equal(cut, cutter.cut(decoded, row))


@pytest.mark.parametrize("side", [100, 333, 900])
def test_large_jpegs_are_decoded_at_a_smaller_scale(rng, side):
    """The scale leaves each crop its pixels: what is cut looks the same."""
    image = _smooth(rng, side, side + 57)
    encoded = tf.io.encode_jpeg(image, quality=98)
    augmenter = SimCLRAugmenter(32, crop_area=(0.3, 1.0), **PLAIN)
    cutter = CropCutter(augmenter, seed=2)
    for position in range(6):
        reduced = _cut(cutter, encoded, position=position)
        whole = _cut(cutter, tf.io.decode_jpeg(encoded), position=position)
        difference = np.abs(reduced.numpy().astype(int) - whole.numpy().astype(int))
        assert difference.mean() < 2.0 and difference.max() < 16


def test_the_smaller_crop_decides_the_scale(monkeypatch, rng):
    ratios = []
    decode = tf.io.decode_jpeg

    def spy(contents, channels=0, ratio=1):
        ratios.append(ratio)
        return decode(contents, channels=channels, ratio=ratio)

    monkeypatch.setattr(tf.io, "decode_jpeg", spy)
    encoded = tf.io.encode_jpeg(_smooth(rng, 400, 400))
    # Eagerly only the branch that is taken runs. 400 pixels for views of 48: whole crops may
    # be decoded at an eighth (50 pixels), halves at a quarter, a tenth of the area at a half.
    for area, expected in ((1.0, 8), (0.25, 4), (0.1, 2), (0.03, 1)):
        settings = {"crop_area": (area, area), "crop_aspect": (1.0, 1.0)}
        _cut(CropCutter(SimCLRAugmenter(48, **settings), seed=0), encoded)
        assert ratios.pop() == expected and not ratios


@pytest.mark.parametrize("content", [b"\xff\xd8\xff broken", b"no image", b"", "bomb"])
def test_broken_images_are_errors(content):
    cutter = CropCutter(SimCLRAugmenter(16), seed=0)
    if content == "bomb":  # a PNG that declares 2^32 pixels
        content = bytearray(tf.io.encode_png(tf.zeros([4, 4, 3], tf.uint8)).numpy())
        content[16:24] = (65536).to_bytes(4, "big") * 2
        content = bytes(content)
    drawn = cutter.draw(tf.constant(0, tf.int64), tf.range(1, dtype=tf.int64))
    dataset = tf.data.Dataset.from_tensor_slices(drawn)
    with pytest.raises(tf.errors.InvalidArgumentError):
        list(dataset.map(lambda row: cutter.cut(tf.constant(content), row)))


@pytest.mark.parametrize("side, scales", [(31, 1), (32, 2), (70, 2)])
def test_jpegs_of_twice_the_views_side_have_scales_to_choose_from(
    monkeypatch, tmp_path, side, scales
):
    content = tf.io.encode_jpeg(np.zeros((side, 90, 3), "uint8")).numpy()
    (tmp_path / "a.jpg").write_bytes(content)
    source = FileSource(["a.jpg"], root=str(tmp_path))
    augmenter = SimCLRAugmenter(16, crop_area=(1.0, 1.0), crop_aspect=(1.0, 1.0))
    cutter = CropCutter.suited_to(source, augmenter, seed=0)
    ratios = []
    decode = tf.io.decode_jpeg

    def spy(contents, channels=0, ratio=1):
        ratios.append(ratio)
        return decode(contents, channels=channels, ratio=ratio)

    monkeypatch.setattr(tf.io, "decode_jpeg", spy)
    assert _cut(cutter, tf.constant(content)).shape == (2, 16, 16, 3)
    assert ratios == ([] if scales == 1 else [side // 16 // 2 * 2])
