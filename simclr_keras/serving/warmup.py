"""Requests that TensorFlow Serving replays before it serves a new version.

Without them the first clients wait while the server prepares the graph.
"""

import logging
import pathlib

import numpy as np
import tensorflow as tf

WARMUP_FILE = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
_LOGGER = logging.getLogger("simclr_keras")


def write_warmup_requests(folder: pathlib.Path, model_name: str, inputs: dict) -> int:
    """Writes one request for each signature.

    The message types come from the `tensorflow-serving-api` package (the `serving` extra). If
    it is not installed, nothing is written and a warning is logged: the model can be served
    without them, with a slower first request.

    Args:
        folder: The version's folder.
        model_name: Name of the model in the requests.
        inputs: signature -> (name of its input, tensor).

    Returns:
        The number of requests written.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        _LOGGER.warning(
            "No warm-up requests were written: tensorflow-serving-api is not installed. To "
            'write them, run pip install "simclr_keras[serving]" and export again.'
        )
        return 0
    file = folder / WARMUP_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature, (name, tensor) in inputs.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = signature
            request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return len(inputs)


def example_inputs(signatures, image_size: int, channels: int) -> dict:
    """Inputs for each signature: a gray image as floats, gray images as a JPEG and a PNG."""
    gray = np.full((1, image_size, image_size, channels), 0.5, np.float32)
    inputs = {"serving_default": ("images", gray)}
    if "serving_bytes" in signatures:
        pixels = np.full((2 * image_size, 2 * image_size, 3), 128, np.uint8)
        encoded = [tf.io.encode_jpeg(pixels).numpy(), tf.io.encode_png(pixels).numpy()]
        inputs["serving_bytes"] = ("image_bytes", np.array(encoded, object))
    return inputs
