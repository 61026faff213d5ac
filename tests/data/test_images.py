import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.data.images import resize_and_center_crop, to_unit_range


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


def test_another_range_of_floating_point(run_mode):
    images = tf.constant([-1.0, 0.0, 1.0])
    np.testing.assert_allclose(run_mode(to_unit_range)(images, (-1.0, 1.0)), [0, 0.5, 1])
    uint8 = run_mode(to_unit_range)(np.array([51], "uint8"), (-1.0, 1.0))
    np.testing.assert_allclose(uint8, [0.2])
    errors = (ValueError, tf.errors.InvalidArgumentError)
    with pytest.raises(
        errors, match="must be in `value_range`, -1 to 1.*values from"
    ) as caught:
        run_mode(to_unit_range)(tf.constant([-3.0, 7.0]), (-1.0, 1.0))
    assert "-3" in str(caught.value) and "7" in str(caught.value)


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


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 13, 3), (2, 11, 8, 1)])
@pytest.mark.parametrize("known", [True, False])
def test_images_of_that_size_are_as_if_resized(rng, shape, known):
    images = rng.integers(0, 256, shape, "uint8")
    cut = np.take(images, np.arange(8) + (shape[-3] - 8) // 2, axis=-3)
    cut = np.take(cut, np.arange(8) + (shape[-2] - 8) // 2, axis=-2)
    expected = tf.image.resize(cut, [8, 8], antialias=True) / 255.0
    spec = tf.TensorSpec(shape if known else [None] * (len(shape) - 1) + [shape[-1]], tf.uint8)
    traced = tf.function(lambda image: resize_and_center_crop(image, 8), [spec])
    np.testing.assert_array_equal(resize_and_center_crop(images, 8), expected)
    # An optimized graph multiplies by 1 / 255.
    np.testing.assert_allclose(traced(images), expected, rtol=2e-7)
    resizes = [
        node.op for node in traced.get_concrete_function().graph.as_graph_def().node
    ].count("ScaleAndTranslate")
    assert not (known and resizes)


def test_one_trace_resizes_or_keeps_by_the_size_of_the_image(rng):
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    traced = tf.function(lambda image: resize_and_center_crop(image, 8), [spec])
    for shape in ((8, 9, 3), (20, 33, 3), (7, 8, 3)):
        image = rng.integers(0, 256, shape, "uint8")
        np.testing.assert_allclose(traced(image), resize_and_center_crop(image, 8), rtol=2e-6)
