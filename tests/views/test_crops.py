import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from simclr_keras.views import crops


def _uniforms(count, seed=0):
    return np.random.default_rng(seed).random((count, crops.UNIFORMS)).astype("float32")


def _boxes(height, width, uniforms=None, area=(0.08, 1.0)):
    uniforms = _uniforms(20_000) if uniforms is None else uniforms
    candidates = crops.crop_candidates(tf.constant(uniforms), area)
    return crops.crop_boxes(candidates, height, width).numpy()


def test_crops_lie_inside():
    top, left, height, width = _boxes(100, 80).T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 100).all() and (left + width <= 80).all()


def test_area_and_aspect_are_drawn_as_the_paper_says():
    # Up to half of a square image every aspect ratio fits, so the first candidate is taken.
    # 4,000 pixels a side: rounding to whole pixels is far below what the test can see.
    _, _, height, width = _boxes(4000, 4000, area=(0.08, 0.5)).T
    area = height * width / 4000**2
    assert stats.kstest(area, stats.uniform(0.08, 0.42).cdf).pvalue > 0.01
    low, high = np.log(3 / 4), np.log(4 / 3)
    log_aspect = np.log(width / height)
    assert stats.kstest(log_aspect, stats.uniform(low, high - low).cdf).pvalue > 0.01
    assert abs(np.corrcoef(area, log_aspect)[0, 1]) < 4 / np.sqrt(len(area))


def test_every_whole_position_is_as_likely():
    # Boxes of 4 x 4 in 8 x 10 pixels: tops 0-4 and lefts 0-6, each as often as the others.
    uniforms = _uniforms(20_000)
    uniforms[:, :10] = (0.2 - 0.08) / 0.92  # 16 of 80 pixels
    uniforms[:, 10:20] = 0.5  # aspect 1
    top, left, height, width = _boxes(8, 10, uniforms).T
    assert (height == 4).all() and (width == 4).all()
    for places, count in ((top, 5), (left, 7)):
        observed = np.bincount(places.astype(int), minlength=count)
        assert len(observed) == count and stats.chisquare(observed).pvalue > 0.01


def test_the_original_releases_sampler_is_another():
    # "min_object_covered=0.1" of sample_distorted_bounding_box truncates the areas at 10 %.
    area = _boxes(4000, 4000)[:, 2:].prod(axis=1) / 4000**2
    share = (area < 0.1).mean()
    assert share == pytest.approx(0.02 / 0.92, rel=0.25)


def test_the_first_candidate_that_fits_is_taken():
    # Area 1 never fits a 100 x 80 image at aspect 1 (89 x 89); the second candidate is 0.25.
    uniforms = np.zeros((1, crops.UNIFORMS), "float32")
    uniforms[:, :10] = (1.0 - 0.08) / 0.92 - 1e-6
    uniforms[:, 1] = (0.25 - 0.08) / 0.92
    uniforms[:, 10:20] = 0.5  # the logarithm's middle: aspect 1
    box = _boxes(100, 80, uniforms)[0]
    np.testing.assert_array_equal(box, [0, 0, 45, 45])  # sqrt(2000) = 44.7


def test_the_centre_when_none_fits():
    uniforms = np.zeros((1, crops.UNIFORMS), "float32")
    uniforms[:, :10] = 0.999
    np.testing.assert_array_equal(_boxes(10, 1000, uniforms)[0], [0, 493, 10, 13])  # 13.3 wide
    np.testing.assert_array_equal(_boxes(1000, 10, uniforms)[0], [493, 0, 13, 10])


@pytest.mark.parametrize("side", [1, 2, 3])
def test_very_small_images_have_crops(side):
    box = _boxes(side, side, _uniforms(200))
    assert (box[:, 2:] >= 1).all() and (box[:, :2] + box[:, 2:] <= side).all()


def test_compiled_boxes_are_the_same():
    uniforms = tf.constant(_uniforms(5000))

    def boxes(u):
        return crops.crop_boxes(crops.crop_candidates(u), 375, 500)

    compiled = tf.function(boxes, jit_compile=True)(uniforms)
    np.testing.assert_array_equal(boxes(uniforms), compiled)


def _crop(images, boxes, flip, size, interpolation="bilinear"):
    rows = crops.crop_rows(images, boxes, size, interpolation)
    planes = crops.crop_columns(rows, boxes, tf.constant(flip), size, interpolation)
    return crops.to_images(planes)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [7, 16, 40])
def test_crop_equals_slicing_and_resizing(rng, run_mode, size, interpolation):
    images = rng.random((3, 20, 26, 3)).astype("float32")
    boxes = np.array([[0, 0, 20, 26], [3, 5, 9, 12], [11, 25, 4, 1]], "float32")
    flip = [False, True, False]
    result = run_mode(lambda x, b: _crop(x, b, flip, size, interpolation))(
        tf.constant(images), tf.constant(boxes)
    )
    for image, (top, left, height, width), mirrored, crop in zip(
        images, boxes.astype(int), flip, result.numpy()
    ):
        part = image[top : top + height, left : left + width]
        expected = tf.image.resize(part, (size, size), method=interpolation, antialias=True)
        expected = np.clip(expected, 0, 1)
        np.testing.assert_allclose(crop, expected[:, ::-1] if mirrored else expected, atol=3e-5)


def test_crop_equals_pillow(rng):
    Image = pytest.importorskip("PIL.Image")
    image = rng.integers(0, 256, (60, 50, 3), "uint8")
    box = np.array([[4, 6, 48, 40]], "float32")
    result = _crop(tf.constant(image[None]), tf.constant(box), [False], 24)[0]
    part = Image.fromarray(image).crop((6, 4, 46, 52)).resize((24, 24), Image.BILINEAR)
    # Pillow rounds to whole values after each of its two passes.
    np.testing.assert_allclose(result, np.asarray(part) / 255.0, atol=1.6 / 255)


def test_uint8_and_float_images_give_the_same(rng):
    images = rng.integers(0, 256, (2, 12, 12, 3), "uint8")
    boxes = tf.constant([[1.0, 2.0, 9.0, 8.0], [0.0, 0.0, 12.0, 12.0]])
    whole = _crop(tf.constant(images), boxes, [False, True], 6)
    parts = _crop(tf.constant(images / 255.0, tf.float32), boxes, [False, True], 6)
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_planes_and_back_with_a_flip(rng):
    images = rng.integers(0, 256, (2, 5, 5, 3), "uint8")
    back = crops.to_images(crops.to_planes(tf.constant(images), tf.constant([False, True])))
    np.testing.assert_allclose(back[0], images[0] / 255.0, atol=1e-6)
    np.testing.assert_allclose(back[1], images[1][:, ::-1] / 255.0, atol=1e-6)
