"""`export_encoder`: a SavedModel that works without this package."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import uuid

import keras
import tensorflow as tf

from .. import __version__
from ..data.images import decode_image, resize_and_center_crop
from ..errors import InputError
from ..keras_versions import tensorflow_variables

METADATA_FILE = "metadata.json"


def _reusable(encoder: keras.Model, image_size: int, channels: int) -> tf.train.Checkpoint:
    """The Reusable SavedModel interface around an encoder.

    The encoder itself is not tracked, only its variables and the traced functions: loading
    needs neither Keras nor this package.
    """
    spec = tf.TensorSpec([None, image_size, image_size, channels], tf.float32, "images")

    @tf.function
    def embed(images, training=False):
        return tf.cast(encoder(images, training=training), tf.float32)

    @tf.function(input_signature=[spec])
    def serve(images):
        return {"embedding": embed(images)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def serve_bytes(image_bytes):
        images = tf.map_fn(
            lambda encoded: resize_and_center_crop(decode_image(encoded), image_size),
            image_bytes,
            fn_output_signature=tf.TensorSpec([image_size, image_size, 3], tf.float32),
        )
        return {"embedding": embed(images)}

    for training in (False, True):
        embed.get_concrete_function(spec, training=training)
    served = tf.train.Checkpoint()
    served.__call__ = embed
    served.serve = serve
    if channels == 3:
        served.serve_bytes = serve_bytes
    served.variables = tensorflow_variables(encoder.variables)
    served.trainable_variables = tensorflow_variables(encoder.trainable_variables)
    served.regularization_losses = (
        [tf.function(lambda: tf.add_n(encoder.losses), input_signature=[])]
        if encoder.losses
        else []
    )
    return served


def export_encoder(
    encoder: keras.Model,
    path: str | os.PathLike,
    version: int | None = None,
    image_size: int | None = None,
    metadata: dict | None = None,
) -> pathlib.Path:
    """Writes an encoder for TensorFlow Serving, TensorFlow Hub style reuse, and `embed`.

    The SavedModel has the signatures `serving_default` (float32 `images` `(N, S, S, C)` in
    [0, 1] to `embedding` `(N, D)`) and, for RGB, `serving_bytes` (string `image_bytes` `(N,)`:
    JPEG, PNG, GIF or BMP of any size, resized and cropped as evaluation does). It can be
    fine-tuned: `__call__(images, training)`, `variables`, `trainable_variables` and
    `regularization_losses`. Versions are never overwritten, and a folder with a number as its
    name is always complete.

    Args:
        encoder: Model from images in [0, 1] to features `(N, D)`.
        path: Folder of the model, such as `saved_models/flowers`.
        version: Number of the version. Defaults to the next free one.
        image_size: S in pixels. Defaults to the encoder's own input size.
        metadata: More entries of `metadata.json`.

    Returns:
        The version's folder.

    Raises:
        InputError: If the version exists already.
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
    path = pathlib.Path(path)
    image_size = image_size or encoder.input_shape[1]
    if image_size is None:
        raise ValueError(
            "`encoder` takes images of any size: say at which to serve it. "
            f"Received: image_size=None, encoder.input_shape={encoder.input_shape}"
        )
    version = version or max(_versions(path), default=0) + 1
    target = path / str(version)
    if target.exists():
        raise InputError(
            f"{target} exists, and versions are never overwritten. Leave --version out to take "
            "the next free one."
        )
    channels = encoder.input_shape[-1]
    path.mkdir(parents=True, exist_ok=True)
    unfinished = path / f".unfinished-{uuid.uuid4().hex}"
    try:
        with _without_synchronised_norm(encoder):
            served = _reusable(encoder, image_size, channels)
            signatures = {"serving_default": served.serve}
            if channels == 3:
                signatures["serving_bytes"] = served.serve_bytes
            tf.saved_model.save(served, str(unfinished), signatures=signatures)
        content = {
            "encoder": encoder.name,
            "image_size": image_size,
            "channels": channels,
            "range": [0.0, 1.0],
            "embedding_dimension": encoder.output_shape[-1],
            "l2_normalised": False,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(
                timespec="seconds"
            ),
            "simclr_keras": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            **(metadata or {}),
        }
        (unfinished / METADATA_FILE).write_text(json.dumps(content, indent=2) + "\n")
        os.rename(unfinished, target)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def load_exported(path: str | os.PathLike):
    """Loads an exported encoder for embedding or fine-tuning.

    Args:
        path: A version's folder, or the model's folder (the newest version is taken).

    Returns:
        A callable `(images, training=False) -> (N, D)` with `variables`,
        `trainable_variables`, `regularization_losses` and `signatures`.

    Raises:
        InputError: If there is no exported model.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> path = sk.export_encoder(encoder, tempfile.mkdtemp() + "/tiny", image_size=16)
        >>> served = sk.load_exported(path.parent)
        >>> tuple(served(np.zeros((2, 16, 16, 3), "float32"), training=False).shape)
        (2, 64)

    Reference:
        https://www.tensorflow.org/hub/reusable_saved_models
    """
    return tf.saved_model.load(str(find_version(path)))


def find_version(path: str | os.PathLike) -> pathlib.Path:
    """The folder that holds `saved_model.pb`: `path` itself or its newest version.

    Raises:
        InputError: If there is none.
    """
    path = pathlib.Path(path)
    candidates = [path, *(path / str(v) for v in sorted(_versions(path), reverse=True))]
    for candidate in candidates:
        if (candidate / "saved_model.pb").exists():
            return candidate
    raise InputError(
        f"There is no exported model in {path}. Expected a folder with saved_model.pb, or one "
        "with numbered versions; write it with: simclr-keras export RUN --output saved_models/NAME"
    )


def read_metadata(path: str | os.PathLike) -> dict:
    """The content of `metadata.json` of an exported model.

    Raises:
        InputError: If there is no exported model, or this package did not write it.
    """
    file = find_version(path) / METADATA_FILE
    if not file.exists():
        raise InputError(
            f"{file} is missing: the model was not exported by simclr-keras, so its image size "
            "is unknown."
        )
    return json.loads(file.read_text())


def _versions(path: pathlib.Path) -> list[int]:
    if not path.is_dir():
        return []
    return [int(p.name) for p in path.iterdir() if p.name.isdigit() and p.is_dir()]


@contextlib.contextmanager
def _without_synchronised_norm(encoder: keras.Model):
    """A graph that is served has one replica: no collective operation may get into it."""
    layers = [
        layer
        for layer in encoder._flatten_layers(include_self=False)
        if getattr(layer, "synchronized", False)
    ]
    for layer in layers:
        layer.synchronized = False
    try:
        yield
    finally:
        for layer in layers:
            layer.synchronized = True
