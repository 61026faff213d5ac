import keras
import numpy as np
import pytest

import simclr_keras as sk
from simclr_keras.errors import InputError
from simclr_keras.networks.airbench import airbench


def test_layers_and_parameters():
    """2x2 to 24 channels; per group 3x3, pooling, norm, 3x3, norm; 1x1 to 4096, norm."""
    network = airbench()
    widths = (24, 64, 256, 256)
    weights = 2 * 2 * 3 * 24 + 24
    for inputs, filters in zip(widths, widths[1:]):
        weights += 9 * inputs * filters + 9 * filters * filters + 2 * 4 * filters
    weights += 256 * 4096 + 4 * 4096
    assert network.count_params() == weights and network.output_shape == (None, 4096)
    convolutions = [x for x in network.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(convolutions) == 8
    norms = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 7 and all(norm.synchronized for norm in norms)


@pytest.mark.parametrize("size, channels", [(32, 3), (9, 1), (40, 4)])
def test_any_size_and_channels(rng, size, channels):
    encoder = sk.build_encoder("airbench", size, channels, width_multiplier=0.125)
    images = rng.random((2, size, size, channels)).astype("float32")
    features = encoder(images, training=False).numpy()
    assert features.shape == (2, 512) and np.ptp(features) > 0


@pytest.mark.parametrize("option", ["small_image_stem", "selective_kernel"])
def test_options_of_other_networks_are_refused(option):
    with pytest.raises(InputError, match=f"leave out .*{option}=True"):
        sk.build_encoder("airbench", 32, **{option: True})


def test_a_width_without_filters_is_refused():
    with pytest.raises(ValueError, match="leaves no filter in the first group"):
        sk.build_encoder("airbench", 32, width_multiplier=0.001)


def test_weights_from_a_file(tmp_path):
    trained = airbench(width_multiplier=0.125)
    trained.save_weights(tmp_path / "mine.weights.h5")
    keras.utils.set_random_seed(5)
    loaded = sk.build_encoder(
        "airbench", 32, weights=str(tmp_path / "mine.weights.h5"), width_multiplier=0.125
    )
    for ours, theirs in zip(loaded.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
