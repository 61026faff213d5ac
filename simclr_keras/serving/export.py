"""`export_encoder` and `export_classifier`: SavedModels that work without this package."""

import contextlib
import datetime
import json
import os
import pathlib
from collections.abc import Callable

import keras
import tensorflow as tf

from .. import __version__
from ..errors import InputError
from ..keras_versions import layers_of
from ..local_copies import folder_here, with_local_copies
from ..settings import AT_LEAST_1, WeightsDtype, check_choice, check_range, choices_of
from .graph import reusable
from .versions import METADATA_FILE, new_version
from .warmup import example_inputs, write_warmup_requests


@with_local_copies
def export_encoder(
    encoder: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    image_size: int | None = None,
    l2_normalise: bool = False,
    weights_dtype: WeightsDtype = "float32",
    licence: str | None = None,
    metadata: dict | None = None,
) -> pathlib.Path:
    """Writes an encoder for TensorFlow Serving, TensorFlow Hub style reuse, and `embed`.

    The SavedModel has the signatures `serving_default` (float32 `images` `(N, S, S, C)` in
    [0, 1] to `embedding` `(N, D)`) and, for RGB, `serving_bytes` (string `image_bytes` `(N,)`:
    JPEG, PNG, GIF, BMP or WebP of any size, resized and cropped as in evaluation). It can be
    fine-tuned: `__call__(images, training)`, `variables`, `trainable_variables` and
    `regularization_losses`. Versions are never overwritten, and a numbered folder is always
    complete. With the `serving` extra installed, warm-up requests for TensorFlow Serving are
    written too.

    Args:
        encoder: Model from images in [0, 1] to features `(N, D)`.
        path: Folder of the model, such as `saved_models/flowers`.
        version: Number of the version, from 1. Defaults to the next free one.
        image_size: S in pixels. Defaults to the encoder's own input size.
        l2_normalise: Divide every embedding that the signatures return by its L2 norm, so that
            inner products are cosine similarities. `__call__` returns the encoder's features
            as they are. Defaults to `False`.
        weights_dtype: `"float32"`; or `"float16"` or `"bfloat16"`, which store kernels at half
            the size and compute in float32, for serving only: `trainable_variables` is empty.
        licence: What the weights may be used for, such as `"Apache-2.0"`; kept in
            `metadata.json`. Defaults to `None`, not stated.
        metadata: Additional entries of `metadata.json`.

    Returns:
        The version's folder.

    Raises:
        InputError: If the version already exists or an argument is out of range.
        ValueError: If the encoder takes any size and `image_size` is missing.

    Example:
        >>> import tempfile
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> path = sk.export_encoder(encoder, tempfile.mkdtemp() + "/tiny", image_size=16)
        >>> path.name
        '1'

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """

    def answer(features):
        return {"embedding": tf.nn.l2_normalize(features, 1) if l2_normalise else features}

    content = {
        "encoder": encoder.name,
        "embedding_dimension": encoder.output_shape[-1],
        "l2_normalised": l2_normalise,
        **(metadata or {}),
    }
    return _export(encoder, path, version, image_size, weights_dtype, licence, answer, content)


@with_local_copies
def export_classifier(
    classifier: keras.Model,
    path: str | os.PathLike,
    class_names: tuple[str, ...],
    version: int | None = None,
    image_size: int | None = None,
    weights_dtype: WeightsDtype = "float32",
    licence: str | None = None,
    metadata: dict | None = None,
) -> pathlib.Path:
    """Writes a classifier for TensorFlow Serving.

    The signatures take the inputs of `export_encoder` and return `probabilities`, float32
    `(N, C)`, and `classes`, string `(N, C)`. As with TensorFlow Serving's classifiers, every
    row of `classes` has the same names, in the order of `probabilities`. `__call__` returns
    logits and can be fine-tuned. `metadata.json` has `class_names`.

    Args:
        classifier: Model from images in [0, 1] to logits `(N, C)`.
        path: Folder of the model, such as `saved_models/flowers`.
        class_names: C names, in the order of the logits.
        version: As in `export_encoder`.
        image_size: As in `export_encoder`.
        weights_dtype: As in `export_encoder`.
        licence: As in `export_encoder`.
        metadata: As in `export_encoder`.

    Returns:
        The version's folder.

    Raises:
        InputError: If there are not C names, the version already exists or an argument is
            out of range.
        ValueError: If the classifier takes any size and `image_size` is missing.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> images = np.zeros((8, 16, 16, 3), "uint8")
        >>> tuned = sk.fine_tune(encoder, images, [0, 1] * 4, steps=1)
        >>> path = tempfile.mkdtemp() + "/pets"
        >>> path = sk.export_classifier(tuned.classifier, path, ("cat", "dog"), image_size=16)
        >>> serve = sk.load_exported(path).signatures["serving_default"]
        >>> answer = serve(images=np.zeros((1, 16, 16, 3), "float32"))
        >>> answer["classes"].numpy().tolist(), tuple(answer["probabilities"].shape)
        ([[b'cat', b'dog']], (1, 2))

    Reference:
        https://www.tensorflow.org/tfx/serving/signature_defs
    """
    if len(class_names) != classifier.output_shape[-1]:
        raise InputError(
            "`class_names` must have a name for each logit. Received: "
            f"{len(class_names)} names, {classifier.output_shape[-1]} logits"
        )

    names = [[os.fsencode(name) for name in class_names]]  # those of folders need not be text

    def answer(logits):
        return {
            "probabilities": tf.nn.softmax(logits),
            "classes": tf.tile(tf.constant(names), [tf.shape(logits)[0], 1]),
        }

    content = {
        "classifier": classifier.name,
        "class_names": list(class_names),
        **(metadata or {}),
    }
    return _export(
        classifier, path, version, image_size, weights_dtype, licence, answer, content
    )


def _export(
    model: keras.Model,
    path: str | os.PathLike,
    version: int | None,
    image_size: int | None,
    weights_dtype: WeightsDtype,
    licence: str | None,
    answer: Callable,
    content: dict,
) -> pathlib.Path:
    """Writes a version; shared by both kinds of export."""
    path = folder_here(path, outline=True)
    check_choice("weights_dtype", weights_dtype, choices_of(WeightsDtype))
    check_range("version", version, AT_LEAST_1)
    image_size = image_size or model.input_shape[1]
    if image_size is None:
        raise ValueError(
            "`encoder` takes images of any size: set the size at which to serve it. "
            f"Received: image_size=None, encoder.input_shape={model.input_shape}"
        )
    channels = model.input_shape[-1]
    content = {
        "image_size": image_size,
        "channels": channels,
        "range": [0.0, 1.0],
        "weights_dtype": weights_dtype,
        "licence": licence,
        "training_run": None,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "simclr_keras": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        **content,
    }
    with new_version(path, version) as (unfinished, finished):
        with _without_synchronised_norm(model):
            served, signatures = reusable(model, image_size, answer, weights_dtype)
            tf.saved_model.save(served, str(unfinished), signatures=signatures)
        inputs = example_inputs(signatures, image_size, channels)
        content["warmup_requests"] = write_warmup_requests(unfinished, path.name, inputs)
        (unfinished / METADATA_FILE).write_text(json.dumps(content, indent=2) + "\n")
    return finished[0]


@contextlib.contextmanager
def _without_synchronised_norm(encoder: keras.Model):
    """Turns synchronisation off: served graphs have one replica, no collective operations."""
    layers = [layer for layer in layers_of(encoder) if getattr(layer, "synchronized", False)]
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True
