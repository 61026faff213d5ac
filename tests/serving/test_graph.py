"""Exports as others use them: in processes that cannot import this package."""

import base64
import importlib.util
import json

import numpy as np
import pytest
import tensorflow as tf
from encoded import many_frames, zip_bomb

from simclr_keras import build_encoder, export_encoder, load_exported
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.images import resize_and_center_crop

FRESH = """
import base64, json, sys
import numpy as np, tensorflow as tf
sys.modules["simclr_keras"] = None  # any import of it fails from here on
model = tf.saved_model.load(sys.argv[1])
data = np.load(sys.argv[2])
encoded = [base64.b64decode(e) for e in json.load(open(sys.argv[3]))]
default, from_bytes = model.signatures["serving_default"], model.signatures["serving_bytes"]
images = tf.constant(data["images"])
results = {
    "outputs": {k: [str(v.dtype.name), v.shape[1]] for k, v in default.structured_outputs.items()},
    "floats": default(images=images)["embedding"].numpy().tolist(),
    "one": default(images=images[:1])["embedding"].numpy().tolist(),
    "bytes": from_bytes(image_bytes=tf.constant(encoded))["embedding"].numpy().tolist(),
}
before = [v.numpy() for v in model.variables]
model(images, training=False)
results["still"] = all((a == v.numpy()).all() for a, v in zip(before, model.variables))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(model(images, training=True) ** 2)
    loss += tf.add_n([f() for f in model.regularization_losses])
gradients = tape.gradient(loss, model.trainable_variables)
results["moved"] = [
    i for i, (a, v) in enumerate(zip(before, model.variables)) if (a != v.numpy()).any()
]
results["gradients"] = [float(tf.norm(g)) for g in gradients]
results["regularisation"] = float(model.regularization_losses[0]())
for variable, gradient in zip(model.trainable_variables, gradients):
    variable.assign_sub(1e-3 * gradient)
after = tf.reduce_sum(model(images, training=True) ** 2) + model.regularization_losses[0]()
results["losses"] = [float(loss), float(after)]
print(json.dumps(results))
"""


@pytest.mark.slow
def test_a_fresh_process_without_this_package(
    rng, regularised_encoder, encoded_images, tmp_path, run_python
):
    encoder = regularised_encoder
    encoder.layers[2].set_weights([rng.random(8).astype("float32") + 0.5 for _ in range(4)])
    path = export_encoder(encoder, tmp_path / "tiny")
    images = rng.random((3, 16, 16, 3)).astype("float32")
    np.savez(tmp_path / "data.npz", images=images)
    as_text = [base64.b64encode(b).decode() for b in encoded_images.values()]
    (tmp_path / "encoded.json").write_text(json.dumps(as_text))
    arguments = (str(path), str(tmp_path / "data.npz"), str(tmp_path / "encoded.json"))
    result = json.loads(run_python(FRESH, *arguments, cwd=tmp_path, new=True).splitlines()[-1])
    assert result["outputs"] == {"embedding": ["float32", 8]}
    expected = encoder(images, training=False)
    np.testing.assert_allclose(result["floats"], expected, atol=1e-5)
    np.testing.assert_allclose(result["one"], expected[:1], atol=1e-5)
    ready = [resize_and_center_crop(decode_image(b, 16), 16) for b in encoded_images.values()]
    for name, served, image in zip(encoded_images, result["bytes"], ready):
        expected = encoder(image[None], training=False)[0]
        np.testing.assert_allclose(served, expected, atol=1e-5, err_msg=name)
    assert result["still"]
    weights = [w.shape for w in encoder.get_weights()]
    assert len(result["moved"]) == 2  # the batch norm's mean and variance
    assert all(weights[i] == (8,) for i in result["moved"])
    assert min(result["gradients"]) > 0 and result["gradients"][0] > 1e-6
    kernel = encoder.layers[1].get_weights()[0]
    assert result["regularisation"] == pytest.approx(0.01 * (kernel**2).sum(), rel=1e-5)
    assert result["losses"][1] < result["losses"][0]


BAD_REQUESTS = """
import base64, json, resource, sys
import tensorflow as tf
sys.modules["simclr_keras"] = None
model = tf.saved_model.load(sys.argv[1])
serve = model.signatures["serving_bytes"]
good, *bad = [base64.b64decode(e) for e in json.load(open(sys.argv[2]))]
expected = serve(image_bytes=tf.constant([good]))["embedding"].numpy()
results = []
for content in bad:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        serve(image_bytes=tf.constant([good, content]))
        error = ""
    except tf.errors.InvalidArgumentError as e:
        error = e.message
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    again = serve(image_bytes=tf.constant([good]))["embedding"].numpy()
    results.append([error, grown, bool((again == expected).all())])
empty = serve(image_bytes=tf.constant([], tf.string))["embedding"]
floats = model.signatures["serving_default"]
none = floats(images=tf.zeros([0, 16, 16, 3]))["embedding"]
try:
    floats(images=tf.fill([1, 16, 16, 3], 128.0))
    out_of_range = ""
except tf.errors.InvalidArgumentError as e:
    out_of_range = e.message
again = serve(image_bytes=tf.constant([good]))["embedding"].numpy()
shapes = [empty.shape.as_list(), none.shape.as_list()]
results.append([*shapes, out_of_range, bool((again == expected).all())])
print(json.dumps(results))
"""


@pytest.mark.slow
def test_a_bad_request_fails_alone(tiny_encoder, encoded_images, tmp_path, run_python):
    path = export_encoder(tiny_encoder, tmp_path / "tiny")
    jpeg = encoded_images["jpeg"]
    requests = {
        "good": jpeg,
        "garbage": b"no image at all",
        "nothing": b"",
        "truncated": jpeg[: len(jpeg) // 2],
        "bomb": zip_bomb(),
        "frames": many_frames(),
    }
    as_text = [base64.b64encode(b).decode() for b in requests.values()]
    (tmp_path / "encoded.json").write_text(json.dumps(as_text))
    output = run_python(BAD_REQUESTS, str(path), str(tmp_path / "encoded.json"), cwd=tmp_path)
    *results, (empty, none, out_of_range, recovered) = json.loads(output.splitlines()[-1])
    texts = [
        "Not an image",
        "Not an image",
        "Invalid JPEG data",
        "declares no pixels or more",
        "",
    ]
    for name, text, (error, grown, again) in zip(list(requests)[1:], texts, results):
        assert (text in error) if text else (error == ""), (name, error)
        assert grown < 100, (name, grown)  # MB
        assert again, name
    assert empty == none == [0, 8] and recovered
    assert "must be in [0, 1]" in out_of_range and "128" in out_of_range


HUB = """
import sys
import numpy as np, tf_keras, tensorflow_hub as hub
sys.modules["simclr_keras"] = None
images = np.load(sys.argv[2])["images"]
loaded = hub.load(sys.argv[1])
layer = hub.KerasLayer(sys.argv[1], trainable=True)
assert len(layer.trainable_weights) == 4 and len(layer.losses) == 1
model = tf_keras.Sequential([layer, tf_keras.layers.Dense(2)])
expected = np.load(sys.argv[2])["expected"]
np.testing.assert_allclose(layer(images), expected, atol=1e-5)
np.testing.assert_allclose(loaded(images), expected, atol=1e-5)
before = [w.numpy() for w in layer.weights]
model.compile(tf_keras.optimizers.SGD(0.1), tf_keras.losses.SparseCategoricalCrossentropy(True))
model.fit(images, np.array([0, 1, 0]), epochs=2, verbose=0)
moved = [(a != b.numpy()).any() for a, b in zip(before, layer.weights)]
assert all(moved), moved  # kernel, bias, gamma, beta, and the statistics
frozen = hub.KerasLayer(sys.argv[1], trainable=False)
before = [w.numpy() for w in frozen.weights]
model = tf_keras.Sequential([frozen, tf_keras.layers.Dense(2)])
model.compile("sgd", tf_keras.losses.SparseCategoricalCrossentropy(True))
model.fit(images, np.array([0, 1, 0]), verbose=0)
assert all((a == b.numpy()).all() for a, b in zip(before, frozen.weights))
print("done")
"""


@pytest.mark.slow
def test_tensorflow_hub_fine_tunes_it(rng, regularised_encoder, tmp_path, run_python):
    # Not imported here: beside tf_keras, Keras 2.15 cannot load models.
    if not all(importlib.util.find_spec(name) for name in ("tensorflow_hub", "tf_keras")):
        pytest.skip("needs the test extra: tensorflow-hub and tf-keras")
    path = export_encoder(regularised_encoder, tmp_path / "tiny")
    images = rng.random((3, 16, 16, 3)).astype("float32")
    expected = regularised_encoder(images, training=False)
    np.savez(tmp_path / "data.npz", images=images, expected=expected)
    output = run_python(
        HUB,
        str(path),
        str(tmp_path / "data.npz"),
        cwd=tmp_path,
        env={"TF_USE_LEGACY_KERAS": "1"},
        new=True,
    )
    assert output.splitlines()[-1] == "done"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_session_loader_of_the_server(rng, tiny_encoder, encoded_images, dtype, tmp_path):
    """TensorFlow Serving loads by tag into a session and feeds the signature's tensors."""
    path = export_encoder(tiny_encoder, tmp_path / "tiny", weights_dtype=dtype)
    images = rng.random((3, 16, 16, 3)).astype("float32")
    atol = 1e-5 if dtype == "float32" else 0.01
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        loaded = tf.compat.v1.saved_model.load(session, ["serve"], str(path))
        assert {"serving_default", "serving_bytes"} <= set(loaded.signature_def)
        feeds = {
            "serving_default": {"images": images},
            "serving_bytes": {"image_bytes": [encoded_images["png"]]},
        }
        served = {
            name: session.run(
                signature.outputs["embedding"].name,
                {signature.inputs[k].name: v for k, v in feeds[name].items()},
            )
            for name, signature in loaded.signature_def.items()
            if name in feeds
        }
    expected = tiny_encoder(images, training=False)
    np.testing.assert_allclose(served["serving_default"], expected, atol=atol)
    ready = resize_and_center_crop(decode_image(encoded_images["png"], 16), 16)[None]
    expected = tiny_encoder(ready, training=False)
    np.testing.assert_allclose(served["serving_bytes"], expected, atol=atol)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simclr_resnet18", "resnet50", "efficientnetb0"])
def test_real_encoders_serve_what_keras_computes(name, rng, tmp_path):
    encoder = build_encoder(name, 32)
    images = rng.random((2, 32, 32, 3)).astype("float32")
    loaded = load_exported(export_encoder(encoder, tmp_path / name, image_size=32))
    expected = np.asarray(encoder(images, training=False))
    served = loaded.signatures["serving_default"](images=tf.constant(images))["embedding"]
    np.testing.assert_allclose(served, expected, atol=1e-5 * max(1, np.abs(expected).max()))
