"""Warm-up requests are read back and replayed; requests of clients are checked as messages."""

import base64
import json
import logging
import sys

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import export_encoder, load_exported
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.images import resize_and_center_crop
from simclr_keras.serving.versions import read_metadata
from simclr_keras.serving.warmup import WARMUP_FILE


@pytest.fixture
def path(tiny_encoder, tmp_path):
    return export_encoder(tiny_encoder, tmp_path / "flowers")


def _requests(path):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    for record in tf.data.TFRecordDataset(str(path / WARMUP_FILE)).as_numpy_iterator():
        log = apis.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        yield log.predict_log.request


def test_the_requests_are_replayed(path):
    loaded, served = load_exported(path), {}
    for request in _requests(path):
        assert request.model_spec.name == "flowers"
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        signature = request.model_spec.signature_name
        served[signature] = loaded.signatures[signature](**inputs)["embedding"].numpy()
    assert {k: v.shape for k, v in served.items()} == {
        "serving_default": (1, 8),
        "serving_bytes": (2, 8),
    }
    # One gray in three forms: as floats, a JPEG and a PNG.
    np.testing.assert_allclose(
        served["serving_bytes"][1], served["serving_bytes"][0], atol=1e-5
    )
    assert np.abs(served["serving_bytes"] - served["serving_default"]).max() < 0.01


def test_they_fit_the_sessions_signatures(path):
    """As the server replays them: by the tensors of the signature, in a session."""
    requests = list(_requests(path))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def
        for request in requests:
            signature = signatures[request.model_spec.signature_name]
            assert set(request.inputs) == set(signature.inputs)
            for name, value in request.inputs.items():
                declared = signature.inputs[name]
                assert value.dtype == declared.dtype
                shape = tf.TensorShape(value.tensor_shape)
                assert shape.is_compatible_with(tf.TensorShape(declared.tensor_shape))
            feeds = {
                signature.inputs[k].name: tf.make_ndarray(v) for k, v in request.inputs.items()
            }
            assert session.run(signature.outputs["embedding"].name, feeds).shape[1] == 8


def test_without_the_api_package_it_says_so_and_exports(
    tiny_encoder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        path = export_encoder(tiny_encoder, tmp_path / "m")
    assert "pip install" in caplog.text and "[serving]" in caplog.text
    assert not (path / WARMUP_FILE).exists() and (path / "saved_model.pb").exists()
    assert read_metadata(path)["warmup_requests"] == 0


def test_grpc_requests_fit_the_signatures(path, rng, encoded_images, tiny_encoder):
    """A `PredictRequest` over the wire and its `PredictResponse` back."""
    apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    request = apis.PredictRequest()
    request.model_spec.name = "flowers"
    request.model_spec.signature_name = "serving_bytes"
    request.inputs["image_bytes"].CopyFrom(
        tf.make_tensor_proto([encoded_images["jpeg"], encoded_images["bmp"]])
    )
    received = apis.PredictRequest.FromString(request.SerializeToString())
    signature = load_exported(path).signatures[received.model_spec.signature_name]
    arrays = {k: tf.constant(tf.make_ndarray(v)) for k, v in received.inputs.items()}
    response = apis.PredictResponse()
    for name, value in signature(**arrays).items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
    answer = apis.PredictResponse.FromString(response.SerializeToString())
    embedding = tf.make_ndarray(answer.outputs["embedding"])
    images = [encoded_images[name] for name in ("jpeg", "bmp")]
    ready = np.stack([resize_and_center_crop(decode_image(b, 16), 16) for b in images])
    np.testing.assert_allclose(embedding, tiny_encoder(ready, training=False), atol=1e-5)


def test_rest_requests_fit_the_signatures(path, encoded_images):
    """The server's rules: with one named input the name may be left out; `b64` is bytes.

    https://www.tensorflow.org/tfx/serving/api_rest, "Encoding binary values".
    """
    signature = load_exported(path).signatures["serving_bytes"]
    content = encoded_images["png"]
    body = json.dumps(
        {
            "signature_name": "serving_bytes",
            "instances": [{"b64": base64.b64encode(content).decode()}],
        }
    )
    (inputs,) = signature.structured_input_signature[1].values()
    assert inputs.name == "image_bytes" and inputs.shape.as_list() == [None]
    decoded = [base64.b64decode(i["b64"]) for i in json.loads(body)["instances"]]
    assert signature(image_bytes=tf.constant(decoded))["embedding"].shape == (1, 8)
    # An output whose name ends in "_bytes" would come back as base64: "embedding" does not.
    assert list(signature.structured_outputs) == ["embedding"]
