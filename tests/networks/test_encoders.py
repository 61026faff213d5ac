import keras
import numpy as np
import pytest

import simclr_keras as sk
from simclr_keras import build_encoder
from simclr_keras.errors import InputError


def norms(model):
    layers = model._flatten_layers(include_self=False)
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


def keras_cv_backbone(**options):
    keras_cv = pytest.importorskip("keras_cv")
    return keras_cv.models.ResNetBackbone(
        stackwise_filters=[4, 8],
        stackwise_blocks=[1, 2],
        stackwise_strides=[1, 2],
        include_rescaling=True,
        **options,
    )


@pytest.mark.parametrize(
    "options, features",
    [({}, 128), ({"selective_kernel": True, "small_image_stem": False}, 512)],
)
def test_simclr_resnets_by_name(options, features):
    depth = 50 if "selective_kernel" in options else 18
    options = {"width_multiplier": 0.25, "small_image_stem": True, **options}
    encoder = build_encoder(f"simclr_resnet{depth}", 32, **options)
    assert encoder.name == f"simclr_resnet{depth}"
    assert encoder.output_shape == (None, features)
    mixing = [layer for layer in encoder.layers if layer.name.endswith("mix_streams")]
    assert len(mixing) == (16 if "selective_kernel" in options else 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2"])
def test_applications_are_prepared(rng, name):
    encoder = build_encoder(name, image_size=32)
    assert norms(encoder) and all(x.synchronized and x.momentum == 0.9 for x in norms(encoder))
    assert encoder(rng.random((2, 32, 32, 3), "float32")).shape[1] == encoder.output_shape[1]
    assert encoder.name == name


@pytest.mark.slow
def test_applications_take_a_weights_file(rng, tmp_path):
    backbone = keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg", alpha=1.0
    )
    backbone.save_weights(tmp_path / "mobilenet.weights.h5")
    encoder = build_encoder("mobilenet", 32, weights=str(tmp_path / "mobilenet.weights.h5"))
    images = rng.random((2, 32, 32, 3)).astype("float32")
    expected = backbone(keras.applications.mobilenet.preprocess_input(images * 255.0))
    np.testing.assert_allclose(encoder(images), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_simclr_resnets_take_a_weights_file(rng, tmp_path):
    options = {"image_size": 16, "width_multiplier": 0.125, "small_image_stem": True}
    encoder = build_encoder("simclr_resnet18", **options)
    for layer in encoder.layers:
        layer.set_weights([rng.random(w.shape) for w in layer.get_weights()])
    file = str(tmp_path / "encoder.weights.h5")
    encoder.save_weights(file)
    again = build_encoder("simclr_resnet18", weights=file, **options)
    for ours, theirs in zip(again.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match=r"do not fit simclr_resnet34.*Received: weights=.*h5"):
        build_encoder("simclr_resnet34", weights=file, **options)
    with pytest.raises(InputError, match="Received: weights=missing.weights.h5"):
        build_encoder("simclr_resnet18", weights="missing.weights.h5", **options)
    with pytest.raises(InputError, match="keras.applications only. Received: name=simclr_re"):
        build_encoder("simclr_resnet18", weights="imagenet", **options)


def test_keras_cv_backbones_get_the_range_they_want(rng):
    backbone = keras_cv_backbone()
    encoder = build_encoder(backbone, 32)
    images = rng.random((2, 32, 32, 3)).astype("float32")
    expected = np.mean(backbone(images * 255.0, training=False), axis=(1, 2))
    np.testing.assert_allclose(encoder(images, training=False), expected, rtol=1e-5, atol=1e-6)
    assert all(x.synchronized and x.momentum == 0.9 for x in norms(encoder))


def test_unknown_keras_cv_presets_get_close_matches():
    pytest.importorskip("keras_cv")
    with pytest.raises(
        InputError, match="Closest: keras_cv:resnet50.*Received: name=keras_cv:re"
    ):
        build_encoder("keras_cv:resnet55", 32)
    with pytest.raises(InputError, match="keras_cv:resnet50_imagenet.*weights=imagenet"):
        build_encoder("keras_cv:resnet50", 32, weights="imagenet")


@pytest.mark.parametrize("name", ["resnet5", "simclr_resnet19", "simclr_resnet"])
def test_unknown_encoders_get_close_matches(name):
    with pytest.raises(InputError, match=f"no encoder named '{name}'. Closest: .*resnet"):
        build_encoder(name, image_size=32)


@pytest.mark.parametrize(
    "option",
    [{"small_image_stem": True}, {"width_multiplier": 2.0}, {"selective_kernel": True}],
)
def test_options_of_the_simclr_resnets_are_errors_elsewhere(option):
    for encoder in ("resnet50", "keras_cv:resnet50"):
        with pytest.raises(InputError, match=f"name={encoder}; use simclr_resnet50"):
            build_encoder(encoder, image_size=64, **option)


def test_sizes_that_keras_cannot_take():
    with pytest.raises(InputError, match="cannot build resnet50 for 8 x 8"):
        build_encoder("resnet50", image_size=8)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mobilenet", "keras_cv", "user"])
def test_saved_and_loaded_gives_the_same_features(rng, tmp_path, kind, tiny_encoder):
    given = {"keras_cv": keras_cv_backbone, "user": lambda: tiny_encoder}.get(
        kind, lambda: kind
    )()
    size = 16 if kind == "user" else 32
    encoder = build_encoder(given, image_size=size)
    for layer in encoder._flatten_layers(include_self=False):  # no zeros or ones left
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    images = rng.random((2, size, size, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5, atol=1e-6)
    assert [(n.synchronized, n.momentum) for n in norms(loaded)] == [
        (True, 0.9) for _ in norms(encoder)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 4, 13])
@pytest.mark.parametrize(
    "name", ["simclr_resnet18", "simclr_resnet50", "mobilenet", "keras_cv"]
)
def test_encoders_of_any_channels_train_a_step(rng, single_blocks, name, channels):
    shape = (32, 32, channels)
    options = {}
    if name.startswith("simclr"):
        options = {"width_multiplier": 0.0625, "selective_kernel": name == "simclr_resnet50"}
    given = keras_cv_backbone(input_shape=shape) if name == "keras_cv" else name
    encoder = build_encoder(given, 32, channels=channels, **options)
    augmenter = sk.SimCLRAugmenter(image_size=32, blur=False)
    model = sk.SimCLR(encoder, sk.ProjectionHead(8), augmenter)
    model.compile(optimizer=sk.LARS(0.1), run_eagerly=True)  # no graph for one step
    images = rng.integers(0, 256, (4, *shape), "uint8")
    kernel = next(w for w in encoder.trainable_variables if len(w.shape) == 4)
    before = kernel.numpy()
    history = model.fit(images, batch_size=4, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert kernel.shape[2] == channels and np.abs(kernel.numpy() - before).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simclr_resnet18", "simclr_resnet50"])
def test_saved_and_loaded_simclr_goes_on_as_it_would_have(rng, single_blocks, tmp_path, name):
    encoder = build_encoder(
        name,
        16,
        width_multiplier=0.0625,
        small_image_stem=True,
        selective_kernel=name == "simclr_resnet50",
    )
    head = sk.ProjectionHead(8, num_layers=3)
    model = sk.SimCLR(encoder, head, sk.SimCLRAugmenter(image_size=16, blur=False))
    model.compile(optimizer=sk.LARS(0.5), run_eagerly=True)
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    model.fit(images, batch_size=8, verbose=0)
    model.save(tmp_path / "simclr.keras")
    loaded = keras.models.load_model(tmp_path / "simclr.keras", compile=False)
    features = model(images)
    np.testing.assert_allclose(loaded(images), features, rtol=1e-5, atol=1e-6)
    ours, theirs = (m.projection_head(features, layers=2) for m in (model, loaded))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    losses = []
    for one in (model, loaded):
        one.compile(optimizer=sk.LARS(0.5), run_eagerly=True)
        losses.append(one.evaluate(images, batch_size=8, verbose=0, return_dict=True)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
