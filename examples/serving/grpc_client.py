"""Embeddings from TensorFlow Serving over gRPC: files as bytes, or decoded images as a tensor.

gRPC sends bytes and floats in binary, so tensors are several times smaller than in JSON.
Needs `pip install tensorflow-serving-api` (the `serving` extra of simclr_keras).

    python grpc_client.py --server localhost:8500 --model digits seven.png three.jpg
    python grpc_client.py --server localhost:8500 --model digits --as-tensor images.npy

Prints one line per image: its name, D, and the first numbers of its embedding. Takes seconds.
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


def predict(server: str, request: predict_pb2.PredictRequest) -> np.ndarray:
    """Sends a request and returns float32 (N, D); raises `grpc.RpcError`."""
    with grpc.insecure_channel(server) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = service.Predict(request, timeout=60)
    return tf.make_ndarray(response.outputs["embedding"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--version", help="a number, or a label of models.config")
    parser.add_argument("--as-tensor", action="store_true", help="FILES is one .npy of images")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    names = options.files
    if options.as_tensor:
        images = np.load(options.files[0])
        request = tensor_request(options.model, images)
        names = [f"image {i}" for i in range(len(images))]
    else:
        request = bytes_request(options.model, options.files)
    choose_version(request, options.version)
    try:
        embeddings = predict(options.server, request)
    except grpc.RpcError as error:
        sys.exit(f"grpc_client: {error.code().name}: {error.details()}")
    for name, embedding in zip(names, embeddings):
        print(name, len(embedding), *(f"{value:.4f}" for value in embedding[:4]))


if __name__ == "__main__":
    main()
