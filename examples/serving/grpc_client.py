"""Embeddings or classes from TensorFlow Serving over gRPC: files as bytes, or decoded images as a tensor.

gRPC sends bytes and floats in binary, so tensors are several times smaller than in JSON.
Needs `pip install tensorflow-serving-api` (the `serving` extra of simclr_keras).

    python grpc_client.py --server localhost:8500 --model digits seven.png three.jpg
    python grpc_client.py --server localhost:8500 --model digits --as-tensor images.npy

Prints one line per image: its name, D, and the first numbers of its embedding; of an exported
classifier, its name, its most likely class and that class's probability. Takes seconds.
"""

import argparse
import pathlib
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def bytes_request(model: str, files: list) -> predict_pb2.PredictRequest:
    """A request with encoded images for the signature `serving_bytes`."""
    encoded = [pathlib.Path(file).read_bytes() for file in files]
    return _request(model, "serving_bytes", "image_bytes", tf.make_tensor_proto(encoded))


def tensor_request(model: str, images: np.ndarray) -> predict_pb2.PredictRequest:
    """A request with float images (N, H, W, C) in [0, 1] for `serving_default`."""
    tensor = tf.make_tensor_proto(images.astype(np.float32))
    return _request(model, "serving_default", "images", tensor)


def _request(model, signature, name, tensor):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(tensor)
    return request


def choose_version(request: predict_pb2.PredictRequest, version: str | None) -> None:
    """Requests a version by number or label; without one, the server uses the newest."""
    if version and version.isdecimal():
        request.model_spec.version.value = int(version)
    elif version:
        request.model_spec.version_label = version


def predict(server: str, request: predict_pb2.PredictRequest) -> dict[str, np.ndarray]:
    """Sends a request and returns the outputs; raises `grpc.RpcError`.

    They are `embedding`, float32 (N, D), or, of a classifier with C classes, `probabilities`,
    float32 (N, C), and `classes`, bytes (N, C).
    """
    with grpc.insecure_channel(server) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = service.Predict(request, timeout=60)
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def describe(outputs: dict[str, np.ndarray]) -> list[str]:
    """The end of the line about each image."""
    if "embedding" not in outputs:  # of a classifier
        best = outputs["probabilities"].argmax(axis=1)
        return [
            f"{outputs['classes'][row, column].decode()} "
            f"{outputs['probabilities'][row, column]:.4f}"
            for row, column in enumerate(best)
        ]
    return [
        " ".join([str(len(row)), *(f"{value:.4f}" for value in row[:4])])
        for row in outputs["embedding"]
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--version", help="a number, or a label of models.config")
    parser.add_argument("--as-tensor", action="store_true", help="FILES is one .npy of images")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    names = options.files
    try:
        if options.as_tensor:
            images = np.load(options.files[0])
            request = tensor_request(options.model, images)
            names = [f"image {i}" for i in range(len(images))]
        else:
            request = bytes_request(options.model, options.files)
    except (OSError, ValueError) as error:  # there is no such file, or it is no array
        print(f"grpc_client: {error}", file=sys.stderr)
        sys.exit(2)
    choose_version(request, options.version)
    try:
        outputs = predict(options.server, request)
    except grpc.RpcError as error:
        sys.exit(f"grpc_client: {error.code().name}: {error.details()}")
    for name, description in zip(names, describe(outputs)):
        print(name, description)


if __name__ == "__main__":
    main()
