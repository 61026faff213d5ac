import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import load_encoder, prepare_encoder
from simclr_keras.keras_versions import tensorflow_variables
from simclr_keras.networks.resnet import SELECTIVE_KERNEL_RATIO, simclr_resnet
from simclr_keras.networks.strided_convolution import StridedConv2D

TRAIN = """
import keras
import numpy as np
import tensorflow as tf
from simclr_keras import prepare_encoder
from simclr_keras.networks.resnet import simclr_resnet

rng = np.random.default_rng(0)


def check(model, size, count):
    # model: images -> the input and the output of a 1x1 convolution with stride 2.
    [kernel] = model.layers[-1].trainable_weights
    images = rng.random((count, size, size, 3), "float32")
    weights = rng.normal(size=model(images)[1].shape).astype("float32")

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            inputs, outputs = model(images)
            loss = tf.reduce_sum(outputs * weights)
        return inputs, tape.gradient(loss, tf.nest.flatten(model.trainable_variables))[-1]

    for _ in range(5):
        inputs, gradient = step(images)
        expected = np.einsum("nhwc,nhwf->cf", inputs.numpy()[:, ::2, ::2], weights)
        np.testing.assert_allclose(gradient[0, 0], expected, atol=1e-4 * abs(expected).max())


# Fewer channels than 8 numbers (AVX2), than 16 (AVX-512); there also images cut by two threads.
for width, size, count in ((4, 64, 16), (8, 64, 16), (8, 16, 5), (4, 8, 3)):
    encoder = simclr_resnet(18, 3, width / 64, small_image_stem=True)
    shortcut = encoder.get_layer("block_group2_block1_shortcut_conv").output
    inputs = encoder.get_layer("block_group1").output
    check(keras.Model(encoder.input, [inputs, shortcut]), size, count)
pixels = keras.Input((64, 64, 3))
convolution = keras.layers.Conv2D(8, 1, strides=2, use_bias=False)
yours = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(convolution(pixels)))
prepared = prepare_encoder(yours, 64).encoder
check(keras.Model(prepared.input, [prepared.input, prepared.layers[1].output]), 64, 16)
"""


def of_kind(model, kind):
    return [x for x in model._flatten_layers(include_self=False) if isinstance(x, kind)]


@pytest.mark.slow
def test_no_network_of_ours_corrupts_memory(run_python):
    """In a process of its own, which died or computed other numbers (where oneDNN runs)."""
    run_python(TRAIN, new=True, env={"TF_ENABLE_ONEDNN_OPTS": "1"})


@pytest.mark.parametrize("selective", [False, True])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("depth", [18, 50])  # the two kinds of blocks
def test_no_1x1_convolution_of_a_resnet_has_a_stride(single_blocks, depth, small, selective):
    ratio = SELECTIVE_KERNEL_RATIO if selective else 0.0
    encoder = simclr_resnet(depth, 3, 1 / 16, small, ratio)
    convolutions = of_kind(encoder, keras.layers.Conv2D)
    strides = {tuple(x.strides) for x in convolutions if tuple(x.kernel_size) == (1, 1)}
    assert strides == {(1, 1)}
    assert any(tuple(x.strides) == (2, 2) for x in convolutions)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("strides", [2, 3, (1, 2)])
@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_it_is_the_convolution_of_every_other_position(rng, policy, strides, jit_compile):
    keras.mixed_precision.set_global_policy(policy)
    layer = StridedConv2D(5, 1, strides, padding="same", bias_initializer="ones")
    images = rng.normal(size=(2, 7, 10, 3)).astype("float32")
    layer.build(images.shape)
    [variable, _] = tensorflow_variables(layer.trainable_variables)
    kernel, bias = layer.get_weights()
    rows, columns = layer.strides
    every_other = images[:, ::rows, ::columns]
    expected = np.einsum("nhwc,cf->nhwf", every_other, kernel[0, 0]) + bias
    assert layer.compute_output_shape(images.shape) == expected.shape

    def gradients(images):
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images)
            loss = tf.reduce_sum(tf.cast(outputs, "float32"))
        return outputs, *tape.gradient(loss, [images, variable])

    run = gradients if jit_compile is None else tf.function(gradients, jit_compile=jit_compile)
    outputs, of_images, of_kernel = run(tf.constant(images))
    tolerance = {"float32": 1e-5, "mixed_float16": 1e-2, "mixed_bfloat16": 6e-2}[policy]
    np.testing.assert_allclose(tf.cast(outputs, "float32"), expected, atol=tolerance)
    spread = np.zeros_like(images)
    spread[:, ::rows, ::columns] = kernel[0, 0].sum(axis=1)
    np.testing.assert_allclose(of_images, spread, atol=tolerance)
    summed = np.repeat(every_other.sum(axis=(0, 1, 2))[:, None], 5, axis=1)
    np.testing.assert_allclose(of_kernel[0, 0], summed, atol=20 * tolerance)


def strided(channels, kind=keras.layers.Conv2D):
    images = keras.Input((16, 16, channels))
    x = kind(6, 1, strides=2, name="shortcut")(images)
    inner = keras.Model(images, keras.layers.BatchNormalization(synchronized=True)(x))
    pixels = keras.Input((16, 16, channels))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(inner(pixels)))


def test_a_network_of_yours_gets_it_where_the_gradient_is_wrong(rng):
    model = strided(channels=15)
    encoder, changed, kept = prepare_encoder(model, 16, 15)
    assert changed[-1] == "1x1 convolutions subsample first: their gradient was wrong on CPUs"
    assert [type(x) for x in of_kind(encoder, keras.layers.Conv2D)] == [StridedConv2D]
    assert not any("wrongly" in line for line in kept)
    images = rng.random((2, 16, 16, 15), "float32")
    np.testing.assert_allclose(encoder(images), model(images), rtol=1e-5, atol=1e-6)
    again = prepare_encoder(encoder, 16, 15)
    assert again.encoder is encoder and again.changed == ()
    # oneDNN is right from 16 channels.
    encoder, changed, kept = prepare_encoder(strided(channels=16), 16, 16)
    assert not any("1x1" in line for line in (*changed, *kept))
    assert not of_kind(encoder, StridedConv2D)


class Yours(keras.layers.Conv2D):
    pass


def test_what_cannot_be_exchanged_is_said():
    encoder, _, kept = prepare_encoder(strided(15, Yours), 16, 15)
    assert [line for line in kept if "wrongly" in line] == [
        "1 of 1 convolutions have a 1x1 kernel, a stride and fewer than 16 input channels, whose "
        "gradient TensorFlow computes wrongly on CPUs; use AveragePooling2D(1, strides) before "
        "a convolution of stride 1 instead"
    ]


def test_files_of_earlier_versions_get_it_when_loaded(rng, tmp_path):
    model = strided(channels=8)
    model.save(tmp_path / "encoder.keras")
    images = rng.random((2, 16, 16, 8), "float32")
    for _ in range(2):  # and what is saved then
        loaded = load_encoder(tmp_path / "encoder.keras")
        assert [type(x) for x in of_kind(loaded, keras.layers.Conv2D)] == [StridedConv2D]
        np.testing.assert_allclose(loaded(images), model(images), rtol=1e-5, atol=1e-6)
        loaded.save(tmp_path / "encoder.keras")
