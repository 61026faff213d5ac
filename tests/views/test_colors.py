import colorsys

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.views import colors


def _images(rng, count=4, size=12):
    return rng.random((count, size, size, 3)).astype("float32")


def _on_images(function, images, *arguments, **settings):
    """Calls a function of planes with images `(N, S, S, C)`."""
    planes = tf.transpose(tf.constant(images), [0, 3, 2, 1])
    return tf.transpose(function(planes, *arguments, **settings), [0, 3, 2, 1]).numpy()


def _jitter(images, order=0, additive=False, **changes):
    parameters = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0, **changes}
    parameters = {k: tf.fill([len(images)], float(v)) for k, v in parameters.items()}
    step = None
    if additive:
        step = lambda *a: colors.jitter_step(*a, additive_brightness=True)  # noqa: E731
    order = tf.fill([len(images)], order)
    return _on_images(colors.color_jitter, images, **parameters, order=order, step=step)


@pytest.mark.parametrize(
    "name, value, reference",
    [
        ("brightness", 1.3, lambda x: x * 1.3),
        ("brightness", 0.0, lambda x: x * 0.0),
        ("contrast", 0.4, lambda x: tf.image.adjust_contrast(x, 0.4)),
        ("contrast", 1.8, lambda x: tf.image.adjust_contrast(x, 1.8)),
        ("saturation", 0.2, lambda x: tf.image.adjust_saturation(x, 0.2)),
        ("saturation", 1.7, lambda x: tf.image.adjust_saturation(x, 1.7)),
        ("hue", 0.15, lambda x: tf.image.adjust_hue(x, 0.15)),
        ("hue", -0.2, lambda x: tf.image.adjust_hue(x, -0.2)),
    ],
)
def test_each_operation_equals_tf_image(rng, name, value, reference):
    images = _images(rng)
    expected = np.clip(reference(tf.constant(images)), 0, 1)
    np.testing.assert_allclose(_jitter(images, **{name: value}), expected, atol=2e-5)


def test_additive_brightness_is_the_first_versions(rng):
    images = _images(rng)
    expected = np.clip(tf.image.adjust_brightness(images, -0.3), 0, 1)
    np.testing.assert_allclose(
        _jitter(images, additive=True, brightness=0.7), expected, atol=1e-6
    )


def test_operations_equal_pillow(rng):
    ImageEnhance = pytest.importorskip("PIL.ImageEnhance")
    from PIL import Image

    image = rng.integers(0, 256, (16, 16, 3), "uint8")
    brighter = ImageEnhance.Brightness(Image.fromarray(image)).enhance(1.4)
    result = _jitter(image[None] / np.float32(255), brightness=1.4)[0]
    np.testing.assert_allclose(result, np.asarray(brighter) / 255.0, atol=1.01 / 255)
    gray = _on_images(colors.grayscale, image[None] / np.float32(255))[0]
    expected = np.asarray(Image.fromarray(image).convert("L"))[..., None] / 255.0
    np.testing.assert_allclose(gray, np.broadcast_to(expected, gray.shape), atol=1.01 / 255)


@pytest.mark.parametrize(
    "color", [(0.8, 0.3, 0.1), (0.1, 0.9, 0.85), (0.4, 0.4, 0.4), (0, 0, 0)]
)
@pytest.mark.parametrize("turn", [-0.2, 0.05, 0.5])
def test_hue_equals_colorsys(color, turn):
    hue, saturation, value = colorsys.rgb_to_hsv(*color)
    expected = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
    result = _jitter(np.array([[[color]]], "float32"), hue=turn)[0, 0, 0]
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_all_24_orders_are_applied(rng, run_mode):
    images = _images(rng, 24, 6)
    steps = (
        lambda x: x * 1.5,
        lambda x: tf.image.adjust_contrast(x, 1.8),
        lambda x: tf.image.adjust_saturation(x, 0.3),
        lambda x: tf.image.adjust_hue(x, 0.1),
    )
    assert len(set(colors.JITTER_ORDERS)) == 24
    # Image k of one batch has order k: the order is per image.
    factors = [tf.fill([24], f) for f in (1.5, 1.8, 0.3, 0.1)]
    result = _on_images(run_mode(colors.color_jitter), images, *factors, tf.range(24))
    for image, jittered, order in zip(images, result, colors.JITTER_ORDERS):
        for step in order:
            image = tf.clip_by_value(steps[step](image), 0, 1)
        np.testing.assert_allclose(jittered, image, atol=3e-5)


def test_colours_of_compiled_code_are_the_same(rng):
    planes = tf.constant(rng.random((5, 3, 24, 24)), tf.float32)
    # Whole values of 8 bits have ties between channels, where another branch may be taken.
    planes = tf.round(planes * 15.0) / 15.0
    factors = [tf.constant(f) for f in rng.uniform(0.5, 1.5, (3, 5)).astype("float32")]
    arguments = (planes, *factors, tf.linspace(-0.2, 0.2, 5), tf.range(5) * 5)
    compiled = tf.function(colors.color_jitter, jit_compile=True)(*arguments)
    np.testing.assert_allclose(colors.color_jitter(*arguments), compiled, atol=2e-6)


def test_neutral_factors_change_nothing(rng):
    images = _images(rng)
    np.testing.assert_allclose(_jitter(images, order=7), images, atol=1e-6)


def test_other_channels_keep_brightness_and_contrast(rng):
    planes = tf.constant(rng.random((2, 5, 6, 6)), tf.float32)
    factor = tf.constant([0.5, 0.5])
    one, order = tf.ones([2]), tf.zeros([2], tf.int32)
    result = colors.color_jitter(planes, factor, one, 0.1 * one, 0.2 * one, order)
    np.testing.assert_allclose(result, planes * 0.5, atol=1e-6)


def test_grayscale_equals_tf_image(rng):
    images = _images(rng)
    expected = np.repeat(tf.image.rgb_to_grayscale(images), 3, axis=-1)
    np.testing.assert_allclose(_on_images(colors.grayscale, images), expected, atol=1e-6)


def test_solarization_inverts_the_bright_half_of_the_chosen():
    values = np.tile(np.array([0.0, 0.25, 0.4999, 0.5, 0.75, 1.0], "float32"), (2, 6, 3, 1))
    images = values.transpose(0, 1, 3, 2)  # (2, 6, 6, 3)
    result = _on_images(colors.solarize, images, tf.constant([True, False]))
    expected = [0.0, 0.25, 0.4999, 0.5, 0.25, 0.0]
    np.testing.assert_allclose(result[0, 0, :, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(result[1], images[1])
