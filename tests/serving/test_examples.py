"""The clients of examples/serving against servers that speak the protocol with real messages."""

import base64
import concurrent.futures
import contextlib
import http.server
import importlib.util
import json
import sys
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import ROOT

from simclr_keras import export_classifier, export_encoder, load_exported

EXAMPLES = ROOT / "examples" / "serving"
pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api, of the test extra")


def _load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def exported(tiny_encoder, encoded_images, tmp_path):
    files = []
    for name in ("jpeg", "gif"):
        files.append(tmp_path / name)
        files[-1].write_bytes(encoded_images[name])
    return load_exported(export_encoder(tiny_encoder, tmp_path / "digits")), files


class _Rest(http.server.BaseHTTPRequestHandler):
    """POST /v1/models/digits[/versions/N|/labels/L]:predict in row format."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.paths.append(self.path)
        signature = self.server.exported.signatures[body["signature_name"]]
        ((name, spec),) = signature.structured_input_signature[1].items()
        rows = [base64.b64decode(i["b64"]) if "b64" in i else i for i in body["instances"]]
        try:
            outputs = signature(**{name: tf.constant(rows, spec.dtype)})
            status, answer = 200, {"predictions": self._rows(outputs)}
        except tf.errors.InvalidArgumentError as error:
            status, answer = 400, {"error": error.message}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def _rows(self, outputs):
        """One output is given without its name, several as an object for each row."""
        outputs = {
            name: np.char.decode(value.numpy().astype("S")).tolist()
            if value.dtype == tf.string
            else value.numpy().tolist()
            for name, value in outputs.items()
        }
        if len(outputs) == 1:
            return next(iter(outputs.values()))
        return [dict(zip(outputs, row)) for row in zip(*outputs.values())]

    def log_message(self, *_):
        pass


@pytest.fixture
def rest_server():
    """Serves a model over REST; the server has the `url`, and the `paths` of its requests."""
    with contextlib.ExitStack() as stack:

        def serve(model):
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Rest)
            stack.callback(server.shutdown)
            server.exported, server.paths = model, []
            server.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return server

        yield serve


@pytest.fixture
def grpc_server():
    """Serves a model over gRPC; returns the address and the models that requests name."""
    grpc = pytest.importorskip("grpc")
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    with contextlib.ExitStack() as stack:

        def serve(model):
            specs = []

            class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
                def Predict(self, request, context):
                    specs.append(request.model_spec)
                    signature = model.signatures[request.model_spec.signature_name]
                    inputs = {
                        name: tf.constant(tf.make_ndarray(value))
                        for name, value in request.inputs.items()
                    }
                    response = predict_pb2.PredictResponse()
                    try:
                        for name, value in signature(**inputs).items():
                            response.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
                    except tf.errors.InvalidArgumentError as error:
                        context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
                    return response

            server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
                Service(), server
            )
            address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            stack.callback(server.stop, 0)
            return address, specs

        yield serve


def test_the_rest_client(exported, rng, tmp_path, rest_server):
    model, files = exported
    client, server = _load("rest_client"), rest_server(model)
    contents = [file.read_bytes() for file in files]
    expected = model.signatures["serving_bytes"](image_bytes=tf.constant(contents))
    served = client.predict(server.url, "digits", client.bytes_request(files))
    np.testing.assert_allclose(served, expected["embedding"], atol=1e-5)
    images = rng.random((2, 16, 16, 3)).astype("float32")
    for version in ("2", "stable"):
        served = client.predict(server.url, "digits", client.tensor_request(images), version)
        np.testing.assert_allclose(served, model(images), atol=1e-5)
    (tmp_path / "bad").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match="Not an image"):
        client.predict(server.url, "digits", client.bytes_request([files[0], tmp_path / "bad"]))
    assert server.paths[:3] == [
        "/v1/models/digits:predict",
        "/v1/models/digits/versions/2:predict",
        "/v1/models/digits/labels/stable:predict",
    ]


def test_the_grpc_client(exported, rng, tmp_path, grpc_server):
    grpc = pytest.importorskip("grpc")
    model, files = exported
    client, (address, specs) = _load("grpc_client"), grpc_server(model)
    contents = [file.read_bytes() for file in files]
    expected = model.signatures["serving_bytes"](image_bytes=tf.constant(contents))
    served = client.predict(address, client.bytes_request("digits", files))
    np.testing.assert_allclose(served["embedding"], expected["embedding"], atol=1e-5)
    images = rng.random((2, 16, 16, 3))
    for version in ("2", "stable"):
        request = client.tensor_request("digits", images)
        client.choose_version(request, version)
        served = client.predict(address, request)
        np.testing.assert_allclose(
            served["embedding"], model(images.astype("float32")), atol=1e-5
        )
    (tmp_path / "bad").write_bytes(b"no image")
    with pytest.raises(grpc.RpcError, match="Not an image"):
        client.predict(address, client.bytes_request("digits", [tmp_path / "bad"]))
    assert specs[1].version.value == 2 and specs[2].version_label == "stable"


def _main(name, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    _load(name).main()


@pytest.mark.slow
def test_the_clients_print_embeddings_or_the_most_likely_class(
    exported, tiny_encoder, tmp_path, rest_server, grpc_server, monkeypatch, capsys
):
    encoder, files = exported
    logits = keras.layers.Dense(3, kernel_initializer="random_normal")(tiny_encoder.output)
    network = keras.Model(tiny_encoder.input, logits)
    names = ("cat", "dog", "écu")
    classifier = load_exported(export_classifier(network, tmp_path / "pets", names))
    contents = tf.constant([file.read_bytes() for file in files])
    probabilities, embedding = (
        model.signatures["serving_bytes"](image_bytes=contents)[output].numpy()
        for model, output in ((classifier, "probabilities"), (encoder, "embedding"))
    )
    best = [
        f"{files[i]} {names[p.argmax()]} {p.max():.4f}" for i, p in enumerate(probabilities)
    ]
    first = [f"{file} 8 {row[0]:.4f} {row[1]:.4f}" for file, row in zip(files, embedding)]
    for model, expected in ((classifier, best), (encoder, first)):
        _main("rest_client", monkeypatch, "--url", rest_server(model).url, *files)
        by_rest = capsys.readouterr().out.splitlines()
        _main("grpc_client", monkeypatch, "--server", grpc_server(model)[0], *files)
        assert capsys.readouterr().out.splitlines() == by_rest
        assert all(
            line.startswith(start) for line, start in zip(by_rest, expected, strict=True)
        )


@pytest.mark.parametrize("name", ["rest_client", "grpc_client"])
@pytest.mark.parametrize("flags", [(), ("--as-tensor",)])
def test_a_missing_image_is_one_line_and_exit_code_2(name, flags, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stopped:
        _main(name, monkeypatch, *flags, "no-such.png")
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert error == f"{name}: [Errno 2] No such file or directory: 'no-such.png'\n"


def test_models_config_is_what_the_server_reads():
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(
        (EXAMPLES / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert model.name == "digits" and list(model.model_version_policy.specific.versions) == [
        1,
        2,
    ]
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}


def test_batching_parameters_are_known_to_the_server():
    # BatchingParameters is not in tensorflow-serving-api: its fields, from
    # tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
    known = {
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
    }
    lines = (EXAMPLES / "batching.config").read_text().splitlines()
    fields = [line.split() for line in lines if line and not line.startswith("#")]
    assert {field[0] for field in fields} == known
    assert all(field[1:3] == ["{", "value:"] and int(field[3]) > 0 for field in fields)
