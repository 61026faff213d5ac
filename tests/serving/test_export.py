import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import export_encoder, load_exported
from simclr_keras.data.images import decode_image, resize_and_center_crop
from simclr_keras.errors import InputError
from simclr_keras.serving.export import read_metadata

FRESH = """
import json, sys
import numpy as np, tensorflow as tf
sys.modules["simclr_keras"] = None  # any import of it fails from here on
model = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2])
floats = model.signatures["serving_default"](images=tf.constant(data["images"]))["embedding"]
encoded = tf.constant([bytes(b) for b in json.loads(sys.argv[3])])
served = model.signatures["serving_bytes"](image_bytes=encoded)["embedding"]
before = [v.numpy() for v in model.variables]
model(data["images"], training=False)
still = all((a == v.numpy()).all() for a, v in zip(before, model.variables))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model(data["images"], training=True) ** 2)
    loss += tf.add_n([f() for f in model.regularization_losses])
gradients = tape.gradient(loss, model.trainable_variables)
moved = [i for i, (a, v) in enumerate(zip(before, model.variables)) if (a != v.numpy()).any()]
print(json.dumps({
    "floats": floats.numpy().tolist(),
    "bytes": served.numpy().tolist(),
    "still": bool(still),
    "moved": len(moved),
    "gradients": [float(tf.norm(g)) for g in gradients],
    "regularisers": len(model.regularization_losses),
}))
"""


@pytest.fixture
def encoder():
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, kernel_regularizer="l2")(images)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def _encoded(rng):
    colour = rng.integers(0, 256, (20, 33, 3), "uint8")
    alpha = rng.integers(0, 256, (18, 16, 4), "uint8")
    return [
        tf.io.encode_jpeg(colour).numpy(),
        tf.io.encode_png(colour).numpy(),
        tf.io.encode_png(colour[..., :1]).numpy(),
        tf.io.encode_png(alpha).numpy(),
    ]


def test_a_fresh_process_without_this_package(rng, encoder, tmp_path, run_python):
    path = export_encoder(encoder, tmp_path / "tiny")
    images = rng.random((3, 16, 16, 3)).astype("float32")
    np.savez(tmp_path / "data.npz", images=images)
    encoded = _encoded(rng)
    result = json.loads(
        run_python(
            FRESH,
            str(path),
            str(tmp_path / "data.npz"),
            json.dumps([list(b) for b in encoded]),
            cwd=tmp_path,
        ).splitlines()[-1]
    )
    np.testing.assert_allclose(result["floats"], encoder(images, training=False), atol=1e-5)
    ready = np.stack([resize_and_center_crop(decode_image(b), 16) for b in encoded])
    np.testing.assert_allclose(result["bytes"], encoder(ready, training=False), atol=1e-5)
    assert result["still"] and result["moved"] == 2  # the batch norm's mean and variance
    assert result["gradients"][0] > 1e-6 and result["regularisers"] == 1


def test_synchronised_norm_does_not_get_into_the_graph(encoder, tmp_path):
    path = export_encoder(encoder, tmp_path / "tiny")
    graph = (path / "saved_model.pb").read_bytes()
    assert b"CollectiveReduce" not in graph and b"NcclAllReduce" not in graph
    assert encoder.layers[2].synchronized  # as it was


def test_versions_count_up_and_are_never_overwritten(encoder, tmp_path):
    names = [export_encoder(encoder, tmp_path / "m").name for _ in range(2)]
    names.append(export_encoder(encoder, tmp_path / "m", version=7).name)
    names.append(export_encoder(encoder, tmp_path / "m").name)
    assert names == ["1", "2", "7", "8"]
    with pytest.raises(InputError, match="m/7 exists, and versions are never overwritten"):
        export_encoder(encoder, tmp_path / "m", version=7)


def test_a_crash_leaves_nothing_that_looks_finished(encoder, tmp_path, monkeypatch):
    def crash(served, path, **_):
        (tmp_path / "m").joinpath(path).mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", crash)
    with pytest.raises(OSError, match="disk full"):
        export_encoder(encoder, tmp_path / "m")
    assert list((tmp_path / "m").iterdir()) == []


def test_metadata_says_what_is_served(encoder, tmp_path):
    export_encoder(encoder, tmp_path / "m", metadata={"encoder": "tiny"})
    metadata = read_metadata(tmp_path / "m")
    assert metadata["encoder"] == "tiny" and metadata["image_size"] == 16
    assert metadata["embedding_dimension"] == 8 and metadata["tensorflow"] == tf.__version__


def test_newest_version_is_loaded(rng, encoder, tmp_path):
    export_encoder(encoder, tmp_path / "m", version=9)
    encoder.layers[1].set_weights([2 * w for w in encoder.layers[1].get_weights()])
    export_encoder(encoder, tmp_path / "m", version=10)
    images = rng.random((2, 16, 16, 3)).astype("float32")
    loaded = load_exported(tmp_path / "m")
    np.testing.assert_allclose(loaded(images), encoder(images, training=False), atol=1e-5)


def test_what_is_missing_is_said(encoder, tmp_path):
    with pytest.raises(InputError, match="no exported model in .*simclr-keras export RUN"):
        load_exported(tmp_path)
    any_size = keras.Input((None, None, 3))
    pooled = keras.Model(any_size, keras.layers.GlobalAveragePooling2D()(any_size))
    with pytest.raises(ValueError, match="Received: image_size=None"):
        export_encoder(pooled, tmp_path / "m")


def test_keras_3_runs_it_as_a_layer(rng, encoder, tmp_path):
    if not hasattr(keras.layers, "TFSMLayer"):
        pytest.skip("TFSMLayer is of Keras 3")
    path = export_encoder(encoder, tmp_path / "m")
    layer = keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")
    images = rng.random((2, 16, 16, 3)).astype("float32")
    served = layer(images)["embedding"]
    np.testing.assert_allclose(served, encoder(images, training=False), atol=1e-5)
