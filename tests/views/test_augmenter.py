import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import SimCLRAugmenter


def _images(rng, count=4, size=24, channels=3):
    return rng.integers(0, 256, (count, size, size, channels), "uint8")


def test_two_views_in_range(rng, run_mode):
    augmenter = SimCLRAugmenter(16)
    views = run_mode(lambda x: augmenter(x, seed=(0, 1)))(_images(rng))
    for view in views:
        assert view.shape == (4, 16, 16, 3) and view.dtype == tf.float32
        assert view.numpy().min() >= 0 and view.numpy().max() <= 1
    assert np.abs(views[0] - views[1]).max() > 0.1


def test_copies_of_one_image_get_different_views(rng):
    images = np.repeat(_images(rng, 1), 64, 0)
    for view in SimCLRAugmenter(20)(images, seed=(0, 0)):
        assert len({v.tobytes() for v in view.numpy()}) == 64


def test_the_same_for_every_form_of_the_seed_and_way_of_running(rng):
    images = _images(rng)
    augmenter = SimCLRAugmenter(16)
    expected = augmenter(images, seed=(5, 7))
    forms = [
        augmenter(images, seed=(tf.constant(5), 7)),
        augmenter(images, seed=tf.constant([5, 7])),
        tf.function(lambda x, s: augmenter(x, seed=(5, s)))(images, tf.constant(7)),
        next(
            iter(tf.data.Dataset.from_tensors(images).map(lambda x: augmenter(x, seed=(5, 7))))
        ),
        tf.function(lambda x: augmenter(x, seed=(5, 7)), jit_compile=True)(tf.constant(images)),
    ]
    for views in forms:
        for view, other in zip(expected, views):
            np.testing.assert_allclose(view, other, atol=1e-4)


@pytest.mark.parametrize("seed", [(5, 8), (6, 7)])
def test_seed_and_step_change_the_views(rng, seed):
    images, augmenter = _images(rng), SimCLRAugmenter(16)
    assert (
        np.abs(augmenter(images, seed=(5, 7))[0] - augmenter(images, seed=seed)[0]).max() > 0.1
    )


def test_without_a_seed_every_call_draws_anew(rng):
    images, augmenter = _images(rng), SimCLRAugmenter(16)
    draw = tf.function(lambda x: augmenter(x)[0])
    assert np.abs(draw(images) - draw(images)).max() > 0.1


def test_parts_of_a_batch_get_the_views_of_the_whole(rng):
    images, augmenter = _images(rng, 6), SimCLRAugmenter(16)
    whole = augmenter(images, seed=(0, 3))
    part = augmenter(images[4:], seed=(0, 3), first_position=4)
    for a, b in zip(whole, part):
        np.testing.assert_allclose(a[4:], b, atol=1e-6)


def test_one_image_is_a_batch_of_one(rng):
    images, augmenter = _images(rng, 1), SimCLRAugmenter(16)
    for one, batch in zip(augmenter(images[0], seed=(0, 0)), augmenter(images, seed=(0, 0))):
        np.testing.assert_array_equal(one, batch[0])


def test_frequencies_and_ranges_are_the_papers():
    augmenter = SimCLRAugmenter(32, color_jitter_strength=0.5)
    drawn = augmenter.draw((0, 0), tf.range(20_000, dtype=tf.int64), 0)
    # Four deviations of 20,000 Bernoulli draws are at most 0.0142.
    for name, share in {"flip": 0.5, "jitter": 0.8, "grayscale": 0.2}.items():
        assert np.mean(getattr(drawn, name)) == pytest.approx(share, abs=0.0142), name
    sigma = drawn.sigma.numpy()
    assert (sigma > 0).mean() == pytest.approx(0.5, abs=0.0142)
    assert sigma[sigma > 0].min() == pytest.approx(0.1, abs=0.001)
    assert sigma.max() == pytest.approx(2.0, abs=0.001)
    for name in ("brightness", "contrast", "saturation"):
        values = getattr(drawn, name).numpy()
        assert values.min() == pytest.approx(0.6, abs=0.001)
        assert values.max() == pytest.approx(1.4, abs=0.001)
        assert values.mean() == pytest.approx(1.0, abs=0.007)
    assert np.abs(drawn.hue).max() == pytest.approx(0.1, abs=0.001)
    orders = np.bincount(drawn.order, minlength=24)
    assert len(orders) == 24 and np.abs(orders - 20_000 / 24).max() < 4 * np.sqrt(20_000 / 24)


def test_factors_are_never_negative():
    augmenter = SimCLRAugmenter(32, color_jitter_strength=2.0)
    drawn = augmenter.draw((0, 0), tf.range(5000, dtype=tf.int64), 0)
    assert drawn.brightness.numpy().min() >= 0 and drawn.brightness.numpy().max() > 2.5


def test_crops_cut_while_decoding_continue_on_device(rng):
    images = _images(rng, 3, 30)
    augmenter = SimCLRAugmenter(16)
    cut = tf.stack(
        [
            augmenter.cut_crops(image, tf.constant(9, tf.int64), tf.constant(p, tf.int64), 4)
            for p, image in enumerate(images)
        ]
    )
    assert cut.shape == (3, 2, 16, 16, 3) and cut.dtype == tf.uint8
    plain = {"color_jitter_strength": 0, "grayscale_probability": 0, "blur": False}
    layer = SimCLRAugmenter(16, **plain)
    for a, b in zip(layer(cut, seed=(4, 9)), layer(images, seed=(4, 9))):
        np.testing.assert_allclose(a, b, atol=0.5 / 255 + 1e-4)
    for a, b in zip(augmenter(cut, seed=(4, 9)), augmenter(images, seed=(4, 9))):
        assert np.abs(a - b).mean() < 0.01


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_float32_under_any_policy(rng, policy):
    images = _images(rng)
    expected = SimCLRAugmenter(16)(images, seed=(0, 0))
    keras.mixed_precision.set_global_policy(policy)
    views = SimCLRAugmenter(16)(images, seed=(0, 0))
    for view, other in zip(views, expected):
        assert view.dtype == tf.float32
        np.testing.assert_array_equal(view, other)


def test_other_channels_warn_once(rng, caplog):
    augmenter = SimCLRAugmenter(16)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert augmenter(_images(rng, channels=4), seed=(0, 0))[0].shape == (4, 16, 16, 4)
    assert caplog.text.count("4 channels have no hue, saturation or grayscale") == 1


def test_extra_layers_come_last(rng):
    layer = keras.layers.Rescaling(0.5)
    views = SimCLRAugmenter(16, extra_layers=[layer])(_images(rng), seed=(0, 0))
    expected = SimCLRAugmenter(16)(_images(np.random.default_rng(0)), seed=(0, 0))
    np.testing.assert_allclose(views[0], expected[0] * 0.5, atol=1e-6)


def test_keras_cv_layers_can_be_appended(rng):
    keras_cv = pytest.importorskip("keras_cv")
    layer = keras_cv.layers.RandomCutout(0.5, 0.5)
    views = SimCLRAugmenter(16, extra_layers=[layer])(_images(rng), seed=(0, 0))
    assert views[0].shape == (4, 16, 16, 3)
    expected = SimCLRAugmenter(16)(_images(np.random.default_rng(0)), seed=(0, 0))
    assert np.abs(views[0] - expected[0]).max() > 0.1


def test_config_keeps_every_argument_and_the_views(rng):
    arguments = {
        "image_size": 12,
        "color_jitter_strength": 0.7,
        "blur": False,
        "flip": False,
        "crop_area": (0.3, 0.9),
        "color_jitter_probability": 0.6,
        "grayscale_probability": 0.1,
        "blur_probability": 0.4,
    }
    augmenter = SimCLRAugmenter(**arguments, extra_layers=[keras.layers.Rescaling(0.5)])
    revived = SimCLRAugmenter.from_config(augmenter.get_config())
    assert {name: getattr(revived, name) for name in arguments} == arguments
    images = _images(rng)
    for a, b in zip(augmenter(images, seed=(0, 0)), revived(images, seed=(0, 0))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name, value",
    [
        ("image_size", 0),
        ("color_jitter_strength", -1),
        ("crop_area", (0.5, 0.2)),
        ("blur_probability", 1.5),
    ],
)
def test_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=re.escape(f"Received: {name}={value}")):
        SimCLRAugmenter(**{"image_size": 16, name: value})


def test_floats_in_0_to_255_are_refused(rng):
    with pytest.raises(ValueError, match="image_dataset_from_directory"):
        SimCLRAugmenter(16)(_images(rng).astype("float32"))
