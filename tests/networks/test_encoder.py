"""Encoders say when they are given images in 0-255."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import build_encoder, load_encoder
from simclr_keras.keras_versions import copy_with
from simclr_keras.networks.encoder import Encoder, as_encoder
from simclr_keras.networks.saved_encoder import save_encoder

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture
def encoder():
    return build_encoder("simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 16, 16, 3), "uint8")


def _uses(encoder):
    return {
        "called": encoder,
        "predict": lambda x: encoder.predict(x, verbose=0),
        "predict on a dataset": lambda x: encoder.predict(
            tf.data.Dataset.from_tensor_slices(x).batch(2), verbose=0
        ),
    }


@pytest.mark.parametrize("use", ["called", "predict", "predict on a dataset"])
def test_uint8_is_divided_and_floats_in_0_to_255_are_an_error(encoder, images, use):
    features = _uses(encoder)[use]
    expected = features(images / np.float32(255))
    np.testing.assert_allclose(features(images), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"must be in \[0, 1\].*values from 0 to 255") as error:
        features(images.astype("float32"))
    assert "\n" not in str(error.value)


def test_traced_uint8_is_divided_too_and_nothing_else_is_added(encoder, images):
    traced = tf.function(encoder)
    floats = images / np.float32(255)
    np.testing.assert_allclose(traced(images), encoder(floats), rtol=1e-4, atol=1e-5)
    operations = traced.get_concrete_function(
        tf.TensorSpec(floats.shape)
    ).graph.get_operations()
    assert "Assert" not in {operation.type for operation in operations}


def test_every_way_to_an_encoder_is_one_and_copies_are_models_of_keras(
    encoder, images, tmp_path
):
    own = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.GlobalAveragePooling2D()])
    assert build_encoder(own, 16) is own  # the user's, as it is
    mobile = build_encoder("mobilenet", 32)
    assert isinstance(encoder, Encoder) and isinstance(mobile, Encoder)
    save_encoder(own, tmp_path / "own.keras")
    assert isinstance(load_encoder(tmp_path / "own.keras"), Encoder)
    save_encoder(encoder, tmp_path / "encoder.keras")
    assert type(keras.models.load_model(tmp_path / "encoder.keras")) is not Encoder
    loaded = load_encoder(tmp_path / "encoder.keras")
    assert isinstance(loaded, Encoder)
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5, atol=1e-6)
    assert type(copy_with(encoder, lambda layer: None)) is not Encoder


def test_saved_by_keras_it_stays_one(encoder, images, tmp_path):
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    assert type(loaded) is Encoder
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5, atol=1e-6)


def test_it_shares_the_layers_of_a_model():
    images = keras.Input((4, 4, 3))
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images), name="mine")
    encoder = as_encoder(model)
    assert encoder.layers == model.layers and encoder.name == "mine"
    assert as_encoder(encoder) is encoder
