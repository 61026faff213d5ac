"""Backbones of KerasHub, constructed and from a preset."""

import sys

import keras
import numpy as np
import pytest

from simclr_keras import (
    InputError,
    RunFailure,
    SimCLR,
    build_encoder,
    load_encoder,
    prepare_encoder,
)
from simclr_keras.keras_versions import KERAS_3
from simclr_keras.networks.precision import copy_of
from simclr_keras.networks.saved_encoder import save_encoder


@pytest.fixture
def keras_hub():
    if not KERAS_3:
        pytest.skip("KerasHub runs with Keras 3 only")
    return pytest.importorskip("keras_hub", reason="needs the keras-hub extra")


def _backbone(keras_hub):
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(16, 16, 3),
    )


def test_feature_maps_are_averaged(keras_hub, rng):
    backbone = _backbone(keras_hub)
    prepared = prepare_encoder(backbone, 16)
    assert "feature maps averaged over space" in prepared.changed
    images = rng.random((2, 16, 16, 3)).astype("float32")
    expected = np.mean(backbone(images), (1, 2))
    np.testing.assert_allclose(prepared.encoder(images), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="use `build_encoder`, which pools backbones"):
        SimCLR(backbone)


def test_tokens_are_averaged(keras_hub, tmp_path, rng):
    backbone = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=8,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        mlp_dim=8,
    )
    encoder = build_encoder(backbone, 16)
    images = rng.random((2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(encoder(images), np.mean(backbone(images), 1), rtol=1e-5)
    np.testing.assert_allclose(copy_of(encoder)(images), encoder(images), rtol=1e-5)
    assert copy_of(encoder, "bfloat16").layers[1].compute_dtype == "bfloat16"
    save_encoder(encoder, tmp_path / "encoder.keras")  # with classes of KerasHub
    loaded = load_encoder(tmp_path / "encoder.keras")
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5)


def test_a_preset_gets_images_as_its_converter_makes_them(keras_hub, tmp_path, rng):
    backbone, folder = _backbone(keras_hub), str(tmp_path / "preset")
    backbone.save_to_preset(folder)
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(16, 16), scale=[1 / 51, 1 / 64, 1 / 51], offset=[-2.5, -1.0, -2.0]
    )
    keras_hub.models.ResNetImageClassifierPreprocessor(converter).save_to_preset(folder)
    encoder = build_encoder(f"keras_hub:{folder}", 16)
    images = rng.integers(0, 256, (2, 16, 16, 3)).astype("float32")
    expected = np.mean(backbone(converter(images)), (1, 2))
    np.testing.assert_allclose(encoder(images / 255), expected, rtol=1e-4, atol=1e-5)


def test_an_unknown_preset(keras_hub):
    with pytest.raises(InputError, match="KerasHub cannot build nope for 16 x 16 x 3 images"):
        build_encoder("keras_hub:nope", 16)


def test_without_keras_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(RunFailure, match=r'pip install "simclr_keras\[keras-hub\]"'):
        build_encoder("keras_hub:resnet_50_imagenet", 16)


class Unregistered(keras.layers.Layer):
    def call(self, x):
        return x


def test_a_file_of_other_classes_names_the_import(tmp_path):
    images = keras.Input((4, 4, 3))
    features = keras.layers.GlobalAveragePooling2D()(Unregistered()(images))
    keras.Model(images, features).save(tmp_path / "encoder.keras")
    with pytest.raises(
        InputError, match=f"contains classes of .*{__name__.partition('.')[0]}.*import"
    ):
        load_encoder(tmp_path / "encoder.keras")
