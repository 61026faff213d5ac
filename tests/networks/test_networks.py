import re

import keras
import numpy as np
import pytest

from simclr_keras import ProjectionHead, build_encoder
from simclr_keras.errors import InputError

SMALL = {"image_size": 32, "width_multiplier": 0.25, "small_image_stem": True}


def _norms(model):
    layers = model._flatten_layers(include_self=False)
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


@pytest.mark.parametrize(
    "depth, features, millions",
    [(18, 512, 11.2), (34, 512, 21.3), (50, 2048, 23.6)],
)
def test_resnet_sizes(depth, features, millions):
    encoder = build_encoder(f"simclr_resnet{depth}", 224)
    assert encoder.output_shape == (None, features)
    assert encoder.count_params() / 1e6 == pytest.approx(millions, abs=0.06)


def test_resnet_is_made_for_contrast():
    encoder = build_encoder("simclr_resnet18", **SMALL)
    for norm in _norms(encoder):
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5) and norm.synchronized
    convolutions = [x for x in encoder.layers if isinstance(x, keras.layers.Conv2D)]
    # Stem, 16 in the blocks, and a shortcut in each stage.
    assert len(convolutions) == 21 and not any(x.use_bias for x in convolutions)
    last = [encoder.get_layer(f"stage{s}_block{b}_norm2") for s in range(1, 5) for b in (1, 2)]
    assert all((norm.gamma.numpy() == 0).all() for norm in last)


def test_resnet_takes_any_size(rng):
    encoder = build_encoder("simclr_resnet18", **SMALL)
    for size in ((32, 32), (17, 40)):
        assert encoder(rng.random((2, *size, 3), "float32")).shape == (2, 128)


def test_small_image_stem_keeps_the_resolution():
    small = build_encoder("simclr_resnet18", **SMALL)
    large = build_encoder("simclr_resnet18", 32, width_multiplier=0.25)
    assert small.get_layer("stem_conv").strides == (1, 1)
    assert large.get_layer("stem_conv").strides == (2, 2)
    assert "stem_pool" not in [layer.name for layer in small.layers]


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2"])
def test_applications_are_prepared(rng, name):
    encoder = build_encoder(name, image_size=32)
    norms = _norms(encoder)
    assert norms and all(x.synchronized and x.momentum == 0.9 for x in norms)
    assert encoder(rng.random((2, 32, 32, 3), "float32")).shape[1] == encoder.output_shape[1]


def test_resnet50_preprocesses_as_keras_does(rng):
    images = rng.random((2, 32, 32, 3)).astype("float32")
    encoder = build_encoder("resnet50", image_size=32)
    expected = keras.applications.resnet50.preprocess_input(images * 255.0)
    np.testing.assert_allclose(encoder.get_layer("preprocess")(images), expected, rtol=1e-5)


def test_other_channels(rng):
    for name in ("resnet50", "simclr_resnet18"):
        encoder = build_encoder(name, image_size=32, channels=4)
        assert encoder(rng.random((1, 32, 32, 4), "float32")).shape[0] == 1


@pytest.mark.parametrize("name", ["resnet5", "simclr_resnet19", "simclr_resnet"])
def test_unknown_encoders_get_close_matches(name):
    with pytest.raises(InputError, match=f"no encoder named '{name}'. Closest: .*resnet"):
        build_encoder(name, image_size=32)


def test_options_of_the_other_family_are_errors():
    with pytest.raises(InputError, match="Received: name=resnet50; use simclr_resnet50"):
        build_encoder("resnet50", image_size=64, small_image_stem=True)
    with pytest.raises(InputError, match="cannot build resnet50 for 8 x 8"):
        build_encoder("resnet50", image_size=8)


@pytest.mark.parametrize("name", ["resnet50", "simclr_resnet18"])
def test_saved_and_loaded_encoder_gives_the_same_features(rng, tmp_path, name):
    encoder = build_encoder(name, image_size=32)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    images = rng.random((2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5, atol=1e-6)
    assert all(norm.synchronized for norm in _norms(loaded))


@pytest.mark.parametrize(
    "layers, width, parameters",
    [
        (0, 6, 0),
        (1, 4, 6 * 4 + 3 * 4),
        (2, 4, 6 * 6 + 4 * 6 + 6 * 4 + 3 * 4),
        (3, 4, 2 * (6 * 6 + 4 * 6) + 6 * 4 + 3 * 4),
    ],
)
def test_head_sizes(rng, layers, width, parameters):
    head = ProjectionHead(output_dim=4, num_layers=layers)
    features = rng.random((5, 6)).astype("float32")
    assert head(features).shape == (5, width)
    assert sum(int(np.prod(v.shape)) for v in head.weights) == parameters


def test_two_layer_head_is_the_papers_formula(rng):
    head = ProjectionHead(output_dim=3, num_layers=2, hidden_dim=5)
    features = rng.normal(size=(4, 6)).astype("float32")
    projections = head(features, training=False)
    w1, w2 = (head.dense_layers[i].get_weights()[0] for i in (0, 1))
    scale = 1 / np.sqrt(1 + 1e-5)  # batch norm at its initial statistics
    expected = np.maximum(features @ w1 * scale, 0) @ w2 * scale
    np.testing.assert_allclose(projections, expected, rtol=1e-5, atol=1e-6)


def test_head_keeps_its_arguments(rng, tmp_path):
    features = keras.Input((6,))
    model = keras.Model(features, ProjectionHead(7, num_layers=3, hidden_dim=5)(features))
    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras")
    head = loaded.layers[-1]
    assert (head.output_dim, head.num_layers, head.hidden_dim) == (7, 3, 5)
    values = rng.random((2, 6)).astype("float32")
    np.testing.assert_allclose(loaded(values), model(values), rtol=1e-6)


@pytest.mark.parametrize("name", ["output_dim", "hidden_dim"])
def test_head_arguments_are_checked(name):
    with pytest.raises(
        ValueError, match=re.escape(f"`{name}` must be positive. Received: {name}=0")
    ):
        ProjectionHead(**{name: 0})
