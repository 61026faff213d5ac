import logging
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import SimCLRAugmenter
from simclr_keras.views import blur, colors, crops, pipeline, turns


def _images(rng, count=4, size=24, channels=3):
    return rng.integers(0, 256, (count, size, size, channels), "uint8")


def test_two_views_in_range(rng, run_mode):
    augmenter = SimCLRAugmenter(16)
    views = run_mode(lambda x: augmenter(x, seed=(0, 1)))(_images(rng))
    for view in views:
        assert view.shape == (4, 16, 16, 3) and view.dtype == tf.float32
        assert view.numpy().min() >= 0 and view.numpy().max() <= 1
    assert np.abs(views[0] - views[1]).max() > 0.1


@pytest.mark.slow
def test_copies_of_one_image_get_different_views(rng):
    images = np.repeat(_images(rng, 1), 64, 0)
    for view in SimCLRAugmenter(20)(images, seed=(0, 0)):
        assert len({v.tobytes() for v in view.numpy()}) == 64


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
def test_the_same_for_every_form_of_the_seed_and_way_of_running(rng, turned):
    images = _images(rng)
    augmenter = SimCLRAugmenter(16, vertical_flip=turned, quarter_turns=turned)
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_uncompiled_operations_give_the_same(rng, monkeypatch):
    """What devices other than CPUs run: no tiles, nothing compiled on its own."""
    images, settings = _images(rng, 5, 40), {"image_size": 32, "crop_area": (0.2, 1.0)}
    expected = SimCLRAugmenter(**settings)(images, seed=(5, 7))
    monkeypatch.setattr(pipeline, "_TILE_BYTES", None)
    for view, other in zip(expected, SimCLRAugmenter(**settings)(images, seed=(5, 7))):
        np.testing.assert_allclose(view, other, atol=1e-4)


@pytest.mark.slow
def test_nothing_is_drawn_that_is_not_used(rng, monkeypatch):
    drawn = []
    draw_parameters, crop_boxes = pipeline.draw_parameters, crops.crop_boxes

    def spy_on_parameters(*arguments, view, policy):
        drawn.append(f"view {view}")
        return draw_parameters(*arguments, view=view, policy=policy)

    def spy_on_boxes(*arguments):
        drawn.append("boxes")
        return crop_boxes(*arguments)

    monkeypatch.setattr(pipeline, "draw_parameters", spy_on_parameters)
    monkeypatch.setattr(crops, "crop_boxes", spy_on_boxes)
    plain = {"color_jitter_strength": 0, "grayscale_probability": 0, "blur": False}
    augmenter = SimCLRAugmenter(16, crop_area=(0.123, 1.0), **plain)  # traced by no other test
    cropped = rng.integers(0, 256, (3, 2, 16, 16, 3), "uint8")
    for call, expected in (
        (
            lambda: augmenter(_images(rng, 3), seed=(0, 0)),
            ["view 0", "boxes", "view 1", "boxes"],
        ),
        (lambda: augmenter.one_view(_images(rng, 3), seed=(0, 0)), ["view 0", "boxes"]),
        (lambda: augmenter(cropped, seed=(0, 0)), ["view 0", "view 1"]),
        (lambda: augmenter.one_view(cropped, seed=(0, 0)), ["view 0"]),
    ):
        drawn.clear()
        call()
        assert drawn == expected


@pytest.mark.slow
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_tiles_do_not_show(rng, monkeypatch, count):
    images = _images(rng, count)
    plain = {"color_jitter_strength": 0}
    whole = SimCLRAugmenter(16, **plain)(images, seed=(0, 0))
    monkeypatch.setattr(pipeline, "_TILE_BYTES", 2 * 16 * 16 * 3 * 4)
    for view, other in zip(whole, SimCLRAugmenter(16, **plain)(images, seed=(0, 0))):
        np.testing.assert_allclose(view, other, atol=1e-6)


@pytest.mark.slow
def test_a_batch_of_unknown_size(rng):
    augmenter = SimCLRAugmenter(16)
    spec = tf.TensorSpec([None, 24, 24, 3], tf.uint8)
    traced = tf.function(lambda x: augmenter(x, seed=(0, 0)), input_signature=[spec])
    for count in (5, 0):
        images = _images(rng, count)
        for view, other in zip(traced(images), augmenter(images, seed=(0, 0))):
            assert view.shape == (count, 16, 16, 3)
            np.testing.assert_allclose(view, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "alone",
    [
        {"flip": True},
        {"vertical_flip": True},
        {"solarize_probability": 0.5},
        {"quarter_turns": True},
        {"color_jitter_strength": 1.0, "color_jitter": (0.8, 0, 0, 0)},
        {"color_jitter_strength": 1.0, "color_jitter": (0, 0.8, 0, 0)},
        {"color_jitter_strength": 1.0, "color_jitter": (0, 0, 0.8, 0)},
        {"color_jitter_strength": 1.0, "color_jitter": (0, 0, 0, 0.2)},
        {"blur": True, "blur_probability": 1.0, "blur_sigma": (0.5, 2.0)},
        {"crop_area": (0.08, 0.9)},
    ],
)
def test_each_operation_draws_for_each_image(rng, alone):
    off = {
        "flip": False,
        "blur": False,
        "color_jitter_strength": 0,
        "color_jitter_probability": 1.0,
        "grayscale_probability": 0.0,
        "crop_area": (1.0, 1.0),
        "crop_aspect": (1.0, 1.0),
    }
    augmenter = SimCLRAugmenter(32, **{**off, **alone})
    images = np.repeat(_images(rng, 1, 40), 64, 0)
    for view in augmenter(images, seed=(0, 0)):
        distinct = len({v.tobytes() for v in view.numpy()})
        expected = {
            "flip": 2,
            "vertical_flip": 2,
            "solarize_probability": 2,
            "quarter_turns": 4,
        }
        assert distinct == expected.get(next(iter(alone)), 64)


def test_everything_off_is_a_resize(rng):
    augmenter = SimCLRAugmenter(
        12,
        flip=False,
        blur=False,
        color_jitter_strength=0,
        grayscale_probability=0.0,
        crop_area=(1.0, 1.0),
        crop_aspect=(1.0, 1.0),
    )
    images = _images(rng)
    expected = tf.image.resize(images / 255.0, (12, 12), antialias=True)
    for view in augmenter(images, seed=(0, 0)):
        np.testing.assert_allclose(view, expected, atol=1e-5)


def test_operations_come_in_the_papers_order(rng):
    """Turns, jitter, grayscale, blur, solarization: done by hand from the drawn parameters."""
    images = _images(rng, 6, 40)
    augmenter = SimCLRAugmenter(
        40,
        crop_area=(1.0, 1.0),
        crop_aspect=(1.0, 1.0),
        blur_probability=1.0,
        vertical_flip=True,
        quarter_turns=True,
        solarize_probability=0.5,
    )
    drawn = augmenter.draw((0, 2), tf.range(6, dtype=tf.int64), 40, 40)
    for view, parameters in zip(augmenter(images, seed=(0, 2)), drawn):
        assert len(set(parameters.solarize.numpy())) == 2
        planes = crops.to_planes(tf.constant(images), parameters.flip)
        planes = turns.flip_vertically(planes, parameters.vertical_flip)
        planes = turns.turn(planes, parameters.quarter_turns)
        planes = colors.color_jitter(planes, *parameters[3:8])
        gray = parameters.grayscale[:, None, None, None]
        planes = tf.where(gray, colors.grayscale(planes), planes)
        planes = blur.gaussian_blur(planes, parameters.sigma)
        expected = crops.to_images(colors.solarize(planes, parameters.solarize))
        np.testing.assert_allclose(view, expected, atol=1e-4)


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


@pytest.mark.parametrize(
    "changes, warns", [({}, False), ({"grayscale_probability": 0.1}, True)]
)
def test_gray_images_need_no_warning_if_no_colour_is_changed(rng, caplog, changes, warns):
    settings = {"color_jitter": (0.8, 0.8, 0.0, 0.0), "grayscale_probability": 0.0, **changes}
    with caplog.at_level(logging.WARNING):
        views = SimCLRAugmenter(16, **settings)(_images(rng, channels=1), seed=(0, 0))
    assert views[0].shape == (4, 16, 16, 1) and bool(caplog.text) == warns


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


@pytest.mark.slow
def test_config_keeps_every_argument_and_the_views(rng):
    arguments = {
        "image_size": 12,
        "color_jitter_strength": 0.7,
        "blur": False,
        "flip": False,
        "crop_area": (0.3, 0.9),
        "crop_aspect": (0.9, 1.2),
        "color_jitter": (0.4, 0.5, 0.6, 0.1),
        "color_jitter_probability": 0.6,
        "brightness": "additive",
        "grayscale_probability": 0.1,
        "blur_probability": 0.4,
        "blur_sigma": (0.5, 1.0),
        "interpolation": "bicubic",
        "vertical_flip": True,
        "quarter_turns": True,
        "solarize_probability": 0.3,
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
        ("crop_aspect", (0.0, 1.0)),
        ("color_jitter", (0.8, 0.8, 0.8)),
        ("brightness", "added"),
        ("blur_probability", 1.5),
        ("solarize_probability", -0.1),
        ("blur_sigma", (2.0, 1.0)),
        ("interpolation", "nearest"),
    ],
)
def test_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=re.escape(f"Received: {name}={value}")):
        SimCLRAugmenter(**{"image_size": 16, name: value})


def test_floats_in_0_to_255_are_refused(rng):
    with pytest.raises(ValueError, match="image_dataset_from_directory"):
        SimCLRAugmenter(16)(_images(rng).astype("float32"))


@pytest.mark.slow
def test_more_views_begin_with_the_same_two(rng, run_mode):
    images = _images(rng)
    two, five = (SimCLRAugmenter(16, views=views) for views in (2, 5))
    views = run_mode(lambda x: five(x, seed=(5, 7)))(images)
    assert len(views) == 5
    for a, b in zip(views, two(images, seed=(5, 7))):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for i, view in enumerate(views):
        for other in views[i + 1 :]:
            assert np.abs(view - other).max() > 0.1
    shapes = five.compute_output_shape((4, 24, 24, 3))
    assert shapes == ((4, 16, 16, 3),) * 5
    drawn = five.draw((5, 7), tf.range(4, dtype=tf.int64), 24, 24)
    assert len(drawn) == 5 and np.ptp([float(p.boxes[0, 0]) for p in drawn]) > 0
