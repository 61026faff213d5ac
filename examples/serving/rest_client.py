"""Embeddings or classes from TensorFlow Serving over REST: files as base64, or decoded images as numbers.

Shows both kinds of request. Files need only the standard library; `--as-tensor` needs NumPy and
a `.npy` file of images of the model's own size, float32 (N, H, W, 3) in [0, 1].

    python rest_client.py --url http://localhost:8501 --model digits seven.png three.jpg
    python rest_client.py --url http://localhost:8501 --model digits --as-tensor images.npy

Prints one line per image: its name, D, and the first numbers of its embedding; of an exported
classifier, its name, its most likely class and that class's probability. Takes seconds.
"""

import argparse
import base64
import json
import pathlib
import sys
import urllib.error
import urllib.request


def bytes_request(files: list) -> dict:
    """Request body for encoded images: signature `serving_bytes`, one instance per image."""
    encoded = (base64.b64encode(pathlib.Path(file).read_bytes()).decode() for file in files)
    return {"signature_name": "serving_bytes", "instances": [{"b64": text} for text in encoded]}


def tensor_request(images) -> dict:
    """Request body for images (N, H, W, C) in [0, 1]: signature `serving_default`."""
    return {"signature_name": "serving_default", "instances": images.tolist()}


def predict(url: str, model: str, body: dict, version: str | None = None) -> list:
    """Posts a request and returns N predictions.

    A prediction is an embedding, or, of a classifier, `probabilities` and `classes`.

    `version` is a number or a label: `1` or `stable`. If the server refuses the request, its
    message is raised; one image that it cannot decode fails the whole request.
    """
    which = ""
    if version:
        which = f"/{'versions' if version.isdecimal() else 'labels'}/{version}"
    request = urllib.request.Request(
        f"{url}/v1/models/{model}{which}:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(json.load(error).get("error", error.reason)) from error


def describe(prediction: list | dict) -> str:
    """The end of the line about an image."""
    if isinstance(prediction, dict):  # of a classifier
        probability, name = max(zip(prediction["probabilities"], prediction["classes"]))
        return f"{name} {probability:.4f}"
    return " ".join([str(len(prediction)), *(f"{value:.4f}" for value in prediction[:4])])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://localhost:8501")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--version", help="a number, or a label of models.config")
    parser.add_argument("--as-tensor", action="store_true", help="FILES is one .npy of images")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    names = options.files
    try:
        if options.as_tensor:
            import numpy as np

            images = np.load(options.files[0])
            body, names = tensor_request(images), [f"image {i}" for i in range(len(images))]
        else:
            body = bytes_request(options.files)
    except (OSError, ValueError) as error:  # there is no such file, or it is no array
        print(f"rest_client: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        predictions = predict(options.url, options.model, body, options.version)
    except (RuntimeError, OSError) as error:
        sys.exit(f"rest_client: {error}")
    for name, prediction in zip(names, predictions):
        print(name, describe(prediction))


if __name__ == "__main__":
    main()
