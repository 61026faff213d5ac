"""Any Keras layer, pipeline or function as an augmenter."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import SimCLRAugmenter, TwoViews
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.views.two_views import as_augmenter


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 8, 8, 3), "uint8")


class Seeded(keras.layers.Layer):
    """The protocol: two views that depend on the seed and on the position."""

    def call(self, images, seed=None, first_position=0):
        moved = tf.cast(images, tf.float32) / 255 + tf.cast(
            seed[1] + first_position, tf.float32
        )
        return images, moved


def _flips():
    return keras.Sequential(
        [keras.layers.RandomFlip(), keras.layers.RandomTranslation(0.2, 0.2)]
    )


def test_layers_that_take_a_seed_are_augmenters_themselves():
    for augmenter in (SimCLRAugmenter(8), Seeded()):
        assert as_augmenter(augmenter) is augmenter


@pytest.mark.parametrize("kind", ["layer", "sequential", "pipeline", "function", "pair"])
def test_what_makes_one_view_makes_two_in_the_unit_range(images, run_mode, kind):
    if kind == "pipeline" and not KERAS_3:
        pytest.skip("keras.layers.Pipeline is new in Keras 3")
    augmentation = {
        "layer": lambda: keras.layers.RandomBrightness(0.5, value_range=(0, 1)),
        "sequential": _flips,
        "pipeline": lambda: keras.layers.Pipeline(
            [
                keras.layers.RandomFlip(),
                keras.layers.RandAugment(value_range=(0, 1)),
                keras.layers.AugMix(value_range=(0, 1)),
            ]
        ),
        "function": lambda: lambda x: tf.image.random_brightness(x, 0.5),
        "pair": lambda: lambda x: (x, 1 - x),
    }[kind]()
    views = run_mode(as_augmenter(augmentation))(images)
    for view in views:
        assert view.dtype == tf.float32 and view.shape == (4, 8, 8, 3)
        assert 0 <= float(tf.reduce_min(view)) and float(tf.reduce_max(view)) <= 1
    assert not np.allclose(*views)
    if kind == "pair":
        np.testing.assert_allclose(views[0], images / np.float32(255))
        np.testing.assert_allclose(views[1], 1 - images / np.float32(255), atol=1e-6)


def test_crops_that_were_cut_already_get_one_view_each(images):
    crops = np.stack([images, 255 - images], 1)  # (N, 2, H, W, C)
    views = TwoViews(lambda x: x / 2)(crops)
    for view in range(2):
        np.testing.assert_allclose(views[view], crops[:, view] / np.float32(510), atol=1e-6)


def test_views_are_float32_under_mixed_precision(images):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    for view in TwoViews(keras.layers.RandomFlip())(images):
        assert view.dtype == tf.float32


def test_what_leaves_the_range_a_little_is_clipped(images):
    view, _ = TwoViews(lambda x: x + 0.5)(images)
    assert float(tf.reduce_max(view)) == 1.0


def _brightness(**options):
    return keras.layers.RandomBrightness(0.2, **options)


@pytest.mark.parametrize(
    "make",
    [_brightness, lambda: keras.Sequential([keras.layers.RandomFlip(), _brightness()])],
)
def test_layers_left_at_the_default_range_are_refused(make):
    text = r"give RandomBrightness `value_range=\(0, 1\)`. Received: value_range=\(0, 255\)"
    with pytest.raises(ValueError, match=text):
        TwoViews(make())
    with pytest.raises(ValueError, match=text):
        SimCLRAugmenter(8, extra_layers=[make()])


@pytest.mark.parametrize(
    "augmentation, text",
    [
        (3, "`augmenter` must be a Keras layer or a function.*Received: 3"),
        (lambda x: x[..., 0], r"must return images.*a view of shape \(4, 8, 8\)"),
        (lambda x: (x, x, x), "one view of each image, or a tuple of two. Received: 3 views"),
    ],
)
def test_what_is_no_augmenter_gets_a_sentence(images, augmentation, text):
    with pytest.raises(ValueError, match=text):
        TwoViews(augmentation)(images)


def test_a_function_that_returns_0_to_255_is_refused(images, run_mode):
    errors = (ValueError, tf.errors.InvalidArgumentError)
    with pytest.raises(errors, match=r"must be in \[0, 1\]") as error:
        run_mode(TwoViews(lambda x: x * 255))(images)
    assert f"{images.max():g}" in str(error.value)


def test_saved_and_loaded(images):
    layer = TwoViews(keras.layers.Rescaling(0.5))
    loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(loaded, TwoViews) and loaded.augmentation.scale == 0.5
    for ours, theirs in zip(loaded(images), layer(images)):
        np.testing.assert_array_equal(ours, theirs)
