import colorsys

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.views import augmentations as A


def _images(rng, count=4, size=24):
    return rng.random((count, size, size, 3)).astype("float32")


def _boxes(count=20_000, height=100, width=80, **settings):
    uniforms = np.random.default_rng(0).random((count, A.CROP_UNIFORMS)).astype("float32")
    return A.crop_boxes(tf.constant(uniforms), height, width, **settings).numpy()


def test_crops_lie_inside_and_cover_what_was_drawn():
    top, left, height, width = _boxes().T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 100).all() and (left + width <= 80).all()
    share, aspect = height * width / 8000, width / height
    assert share.min() > 0.07 and share.max() <= 1
    assert aspect.min() > 0.72 and aspect.max() < 1.38
    # Small crops always fit, so below a half of the image the area is uniform: as many from
    # 0.1 to 0.25 as from 0.25 to 0.4, within four deviations.
    low, high = ((share > a) & (share < b) for a, b in ((0.1, 0.25), (0.25, 0.4)))
    assert abs(int(low.sum()) - int(high.sum())) < 4 * np.sqrt(2 * low.sum())


def test_the_first_candidate_that_fits_is_taken():
    # Area 1 never fits a 100 x 80 image at aspect 1 (89 x 89); the second candidate is 0.25.
    uniforms = np.zeros((1, A.CROP_UNIFORMS), "float32")
    uniforms[:, :10] = (1.0 - 0.08) / 0.92 - 1e-6
    uniforms[:, 1] = (0.25 - 0.08) / 0.92
    uniforms[:, 10:20] = 0.5  # the logarithm's middle: aspect 1
    box = A.crop_boxes(tf.constant(uniforms), 100, 80).numpy()[0]
    np.testing.assert_array_equal(box, [0, 0, 45, 45])  # sqrt(2000) = 44.7


def test_the_centre_when_none_fits():
    uniforms = np.zeros((1, A.CROP_UNIFORMS), "float32")
    uniforms[:, :10] = 0.999
    box = A.crop_boxes(tf.constant(uniforms), 10, 1000).numpy()[0]
    np.testing.assert_array_equal(box, [0, 493, 10, 13])  # 10 * 4/3 = 13.3 wide


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [7, 16, 40])
def test_crop_equals_slicing_and_resizing(rng, run_mode, size, flip):
    images = rng.random((3, 20, 26, 3)).astype("float32")
    boxes = np.array([[0, 0, 20, 26], [3, 5, 9, 12], [11, 25, 4, 1]], "float32")
    crops = run_mode(A.crop_flip_resize)(
        images, tf.constant(boxes), tf.constant([flip] * 3), size
    ).numpy()
    for image, (top, left, height, width), crop in zip(images, boxes.astype(int), crops):
        expected = tf.image.resize(
            image[top : top + height, left : left + width], (size, size), antialias=True
        ).numpy()
        np.testing.assert_allclose(crop, expected[:, ::-1] if flip else expected, atol=2e-5)


def test_crops_cut_while_decoding_are_the_same(rng):
    image = rng.integers(0, 256, (20, 26, 3), "uint8")
    box = np.array([3, 5, 9, 12], "float32")
    on_device = A.crop_flip_resize(
        tf.constant(image[None] / 255.0, tf.float32), box[None], tf.constant([True]), 16
    )[0]
    decoded = A.cut_crop(image, box, True, 16).numpy()
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded / 255.0, on_device, atol=0.5 / 255 + 1e-5)


def _jitter(images, order=0, **changes):
    parameters = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, **changes}
    parameters = {k: tf.fill([len(images)], float(v)) for k, v in parameters.items()}
    return A.color_jitter(images, **parameters, order=tf.fill([len(images)], order)).numpy()


def test_each_operation_equals_tf_image(rng):
    images = tf.constant(_images(rng))
    references = {
        ("brightness", 1.3): lambda x: x * 1.3,
        ("contrast", 0.4): lambda x: tf.image.adjust_contrast(x, 0.4),
        ("saturation", 1.7): lambda x: tf.image.adjust_saturation(x, 1.7),
        ("hue", 0.15): lambda x: tf.image.adjust_hue(x, 0.15),
    }
    for (name, value), reference in references.items():
        result = _jitter(images, **{name: value})
        expected = np.clip(reference(images), 0, 1)
        np.testing.assert_allclose(result, expected, atol=2e-5, err_msg=name)


def test_hue_equals_colorsys():
    color = (0.8, 0.3, 0.1)
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    expected = colorsys.hsv_to_rgb((hue - 0.2) % 1.0, saturation, value)
    result = _jitter(tf.constant([[[color]]]), hue=-0.2)[0, 0, 0]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_all_24_orders_are_applied(rng):
    images = tf.constant(_images(rng, 2, 6))
    steps = (
        lambda x: x * 1.5,
        lambda x: tf.image.adjust_contrast(x, 1.8),
        lambda x: tf.image.adjust_saturation(x, 0.3),
        lambda x: tf.image.adjust_hue(x, 0.1),
    )
    changes = {"brightness": 1.5, "contrast": 1.8, "saturation": 0.3, "hue": 0.1}
    assert len(set(A.JITTER_ORDERS)) == 24
    for number, order in enumerate(A.JITTER_ORDERS):
        expected = images
        for step in order:
            expected = tf.clip_by_value(steps[step](expected), 0, 1)
        np.testing.assert_allclose(
            _jitter(images, order=number, **changes), expected, atol=3e-5
        )


def test_two_images_of_a_batch_may_have_other_orders(rng):
    images = tf.constant(np.repeat(_images(rng, 1, 6), 2, 0))
    ones = tf.ones([2])
    result = A.color_jitter(
        images, 1.6 * ones, 1.6 * ones, 0.3 * ones, 0.1 * ones, tf.constant([0, 23])
    )
    assert np.abs(result[0] - result[1]).max() > 0.01


@pytest.mark.parametrize("size", [32, 64])
def test_blur_equals_plain_loops(rng, size):
    images = _images(rng, 2, size)
    sigmas = [0.5, 1.7]
    result = A.gaussian_blur(tf.constant(images), tf.constant(sigmas)).numpy()
    radius = size // 10 // 2
    for image, sigma, blurred in zip(images, sigmas, result):
        taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        taps /= taps.sum()
        padded = np.pad(image, ((radius,) * 2, (radius,) * 2, (0, 0)), "reflect")
        rows = sum(t * padded[i : i + size] for i, t in enumerate(taps))
        expected = sum(t * rows[:, i : i + size] for i, t in enumerate(taps))
        np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_sigma_zero_leaves_the_image(rng):
    images = _images(rng, 2, 40)
    np.testing.assert_allclose(
        A.gaussian_blur(tf.constant(images), tf.zeros(2)), images, atol=1e-6
    )
