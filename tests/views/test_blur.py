import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.views.blur import blur_radius, gaussian_blur


def _blur(images, sigma):
    planes = tf.transpose(tf.constant(images), [0, 3, 2, 1])
    return tf.transpose(gaussian_blur(planes, tf.constant(sigma)), [0, 3, 2, 1]).numpy()


@pytest.mark.parametrize("size", [32, 64])
def test_blur_equals_plain_loops(rng, size):
    images = rng.random((2, size, size, 3)).astype("float32")
    sigmas = [0.5, 1.7]
    radius = size // 10 // 2
    for image, sigma, blurred in zip(images, sigmas, _blur(images, sigmas)):
        taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
        taps /= taps.sum()
        padded = np.pad(image, ((radius,) * 2, (radius,) * 2, (0, 0)), "reflect")
        rows = sum(t * padded[i : i + size] for i, t in enumerate(taps))
        expected = sum(t * rows[:, i : i + size] for i, t in enumerate(taps))
        np.testing.assert_allclose(blurred, expected, atol=1e-5)


def test_blur_equals_tensorflow_addons(rng):
    tfa = pytest.importorskip("tensorflow_addons", reason="only with the extra `addons`")
    images = rng.random((1, 60, 60, 3)).astype("float32")
    kernel = 2 * blur_radius(60) + 1
    expected = tfa.image.gaussian_filter2d(images, kernel, 1.3, padding="REFLECT")
    np.testing.assert_allclose(_blur(images, [1.3]), expected, atol=1e-5)


def test_kernel_is_a_tenth_of_the_side():
    assert [blur_radius(size) for size in (19, 20, 32, 64, 224)] == [0, 1, 1, 3, 11]


def test_sigma_zero_leaves_the_image(rng):
    images = rng.random((2, 40, 40, 3)).astype("float32")
    np.testing.assert_allclose(_blur(images, [0.0, 0.0]), images, atol=1e-6)


def test_small_images_have_a_kernel_of_one_pixel(rng):
    images = rng.random((1, 16, 16, 3)).astype("float32")
    np.testing.assert_array_equal(_blur(images, [2.0]), images)


def test_blur_lowers_what_is_fine_and_keeps_the_mean(rng):
    images = rng.random((1, 64, 64, 3)).astype("float32")
    blurred = _blur(images, [2.0])
    assert blurred.std() < 0.3 * images.std()
    assert blurred.mean() == pytest.approx(images.mean(), abs=0.01)
