import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import export_encoder, load_exported
from simclr_keras.errors import InputError
from simclr_keras.serving.versions import read_metadata


def test_synchronised_norm_does_not_get_into_the_graph(regularised_encoder, tmp_path):
    path = export_encoder(regularised_encoder, tmp_path / "tiny")
    graph = (path / "saved_model.pb").read_bytes()
    assert b"CollectiveReduce" not in graph and b"NcclAllReduce" not in graph
    assert regularised_encoder.layers[2].synchronized  # as it was


def test_a_crash_leaves_nothing_that_looks_finished(tiny_encoder, tmp_path, monkeypatch):
    def crash(served, path, **_):
        (tmp_path / "m").joinpath(path).mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        export_encoder(tiny_encoder, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_the_files_are_those_of_the_contract(tiny_encoder, tmp_path):
    path = export_encoder(tiny_encoder, tmp_path / "m")
    assert sorted(p.name for p in path.iterdir()) == [
        "assets",
        "assets.extra",
        "fingerprint.pb",
        "metadata.json",
        "saved_model.pb",
        "variables",
    ]
    assert (path / "assets.extra" / "tf_serving_warmup_requests").exists()


def test_metadata_says_what_is_served(tiny_encoder, tmp_path):
    export_encoder(
        tiny_encoder,
        tmp_path / "m",
        licence="CC-BY-4.0",
        l2_normalise=True,
        metadata={"encoder": "tiny", "training_run": {"seed": 3}},
    )
    metadata = read_metadata(tmp_path / "m")
    assert metadata.pop("created").startswith("20") and metadata.pop("simclr_keras")
    assert metadata == {
        "encoder": "tiny",
        "image_size": 16,
        "channels": 3,
        "range": [0.0, 1.0],
        "embedding_dimension": 8,
        "l2_normalised": True,
        "weights_dtype": "float32",
        "licence": "CC-BY-4.0",
        "training_run": {"seed": 3},
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "warmup_requests": 2,
    }


def test_signatures_normalise_and_features_stay_as_they_are(rng, tiny_encoder, tmp_path):
    export_encoder(tiny_encoder, tmp_path / "m", l2_normalise=True)
    loaded = load_exported(tmp_path / "m")
    images = rng.random((3, 16, 16, 3)).astype("float32")
    features = tiny_encoder(images, training=False).numpy()
    lengths = np.sqrt((features**2).sum(axis=1, keepdims=True))
    served = loaded.signatures["serving_default"](images=tf.constant(images))["embedding"]
    np.testing.assert_allclose(served, features / lengths, atol=1e-5)
    encoded = tf.constant([tf.io.encode_png(np.full((9, 9, 3), 77, "uint8")).numpy()])
    served = loaded.signatures["serving_bytes"](image_bytes=encoded)["embedding"]
    assert abs(float(tf.norm(served)) - 1) < 1e-5
    np.testing.assert_allclose(loaded(images), features, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, relative", [("float16", 2**-11), ("bfloat16", 2**-8)])
def test_half_size_weights(rng, dtype, relative, tmp_path):
    # One convolution without anything after it: the error is that of its rounded weights.
    images = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(64, 4, bias_initializer="ones")(images)
    encoder = keras.Model(images, keras.layers.Flatten()(x))
    full = export_encoder(encoder, tmp_path / "full")
    half = export_encoder(encoder, tmp_path / "half", weights_dtype=dtype)
    batch = rng.random((5, 4, 4, 3)).astype("float32")
    loaded = load_exported(half)
    assert [v.dtype.name for v in loaded.variables] == [dtype, "float32"]
    served = loaded.signatures["serving_default"](images=tf.constant(batch))["embedding"]
    assert served.dtype == tf.float32
    kernel, bias = encoder.get_weights()
    rounded = tf.cast(tf.cast(kernel, dtype), tf.float32).numpy()
    expected = np.einsum("nhwc,hwcd->nd", batch, rounded) + bias
    np.testing.assert_allclose(served, expected, atol=1e-5)
    assert np.abs(served - encoder(batch)).max() <= np.abs(kernel).max() * 48 * relative
    np.testing.assert_allclose(loaded(batch, training=False), expected, atol=1e-5)
    sizes = [
        (p / "variables" / "variables.data-00000-of-00001").stat().st_size for p in (full, half)
    ]
    assert sizes[1] < 0.6 * sizes[0]
    # The encoder itself is as it was.
    np.testing.assert_array_equal(encoder.get_weights()[0], kernel)


def test_half_size_with_batch_norm_and_nested_models(rng, tiny_encoder, tmp_path):
    images = keras.Input((16, 16, 3))
    nested = keras.Model(images, keras.layers.Dense(5)(tiny_encoder(images)))
    nested.layers[1].layers[2].set_weights([rng.random(8) + 0.5 for _ in range(4)])
    export_encoder(nested, tmp_path / "m", weights_dtype="bfloat16")
    loaded = load_exported(tmp_path / "m")
    kernels = [v.dtype.name for v in loaded.variables if len(v.shape) > 1]
    assert kernels == ["bfloat16"] * 2 and loaded.trainable_variables == []
    batch = rng.random((3, 16, 16, 3)).astype("float32")
    expected = nested(batch, training=False).numpy()
    assert 0 < np.abs(loaded(batch) - expected).max() < 0.02 * np.abs(expected).max()


def test_weights_too_large_for_float16_are_refused(tiny_encoder, tmp_path):
    tiny_encoder.set_weights([1e5 * np.ones_like(w) for w in tiny_encoder.get_weights()])
    with pytest.raises(
        InputError, match="not finite as float16.*Received: a largest .* 100000"
    ):
        export_encoder(tiny_encoder, tmp_path / "m", weights_dtype="float16")
    assert list((tmp_path / "m").iterdir()) == []
    export_encoder(tiny_encoder, tmp_path / "m", weights_dtype="bfloat16")


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"weights_dtype": "int8"}, "Received: weights_dtype='int8'"),
        ({"version": 0}, "at least 1. Received: version=0"),
    ],
)
def test_wrong_arguments_write_nothing(tiny_encoder, tmp_path, arguments, text):
    with pytest.raises(InputError, match=text):
        export_encoder(tiny_encoder, tmp_path / "m", **arguments)
    assert not (tmp_path / "m").exists()


def test_an_encoder_of_any_size_needs_one(tmp_path):
    any_size = keras.Input((None, None, 3))
    pooled = keras.Model(any_size, keras.layers.GlobalAveragePooling2D()(any_size))
    with pytest.raises(ValueError, match="Received: image_size=None"):
        export_encoder(pooled, tmp_path / "m")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_an_encoder_trained_in_mixed_precision_serves_float32(rng, policy, tmp_path):
    keras.mixed_precision.set_global_policy(policy)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3)(images)
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
    for dtype in ("float32", "bfloat16"):
        export_encoder(encoder, tmp_path / dtype, weights_dtype=dtype)
        batch = rng.random((2, 8, 8, 3)).astype("float32")
        served = load_exported(tmp_path / dtype).signatures["serving_default"](
            images=tf.constant(batch)
        )["embedding"]
        assert served.dtype == tf.float32
        np.testing.assert_allclose(served, tf.cast(encoder(batch), tf.float32), atol=0.03)


def test_another_number_of_channels_has_no_bytes_signature(rng, tmp_path):
    images = keras.Input((8, 8, 5))
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))
    path = export_encoder(encoder, tmp_path / "m")
    loaded = load_exported(path)
    assert list(loaded.signatures) == ["serving_default"]
    assert json.loads((path / "metadata.json").read_text())["warmup_requests"] == 1


def test_keras_3_runs_it_as_a_layer(rng, tiny_encoder, tmp_path):
    if not hasattr(keras.layers, "TFSMLayer"):
        pytest.skip("TFSMLayer is of Keras 3")
    path = export_encoder(tiny_encoder, tmp_path / "m")
    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")
    images = rng.random((2, 16, 16, 3)).astype("float32")
    served = layer(images)["embedding"]
    np.testing.assert_allclose(served, tiny_encoder(images, training=False), atol=1e-5)
