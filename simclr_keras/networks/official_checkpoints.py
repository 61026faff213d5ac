"""`load_official_checkpoint`: loads weights of the original SimCLR release.

Only the `variables/` part of a SavedModel is read, and its graph is never executed: the graph
needs the Keras version of its time, while the variables are plain named arrays.
"""

import contextlib
import os
import pathlib
import typing

import keras
import tensorflow as tf
from tensorflow.core.protobuf import trackable_object_graph_pb2

from ..errors import InputError
from ..local_copies import here, with_local_copies
from .projection_head import ProjectionHead
from .release_architecture import NAMED_IN_ERRORS, ReleaseArchitecture, infer_architecture
from .release_files import variables_folder
from .release_names import plain_name, release_names, renumbered
from .resnet import simclr_resnet

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class OfficialCheckpoint(typing.NamedTuple):
    """The networks of an original-release checkpoint; `None` for those that it lacks.

    Attributes:
        encoder: The SimCLR ResNet: images in [0, 1] to features (`final_avg_pool`).
        projection_head: Features to projections (`proj_head_output`).
        linear_head: Features to class logits (`logits_sup`). The release's fine-tuned
            models apply it to a layer of the projection head instead, in SimCLR v2 the first:
            `linear_head(projection_head(features, layers=1))`.
    """

    encoder: keras.Model
    projection_head: ProjectionHead | None
    linear_head: keras.layers.Dense | None


class _Variable(typing.NamedTuple):
    name: str  # as in the checkpoint
    key: str
    shape: tuple[int, ...] | None  # None: the checkpoint has its name, but not its value


@with_local_copies
def load_official_checkpoint(path: str | os.PathLike) -> OfficialCheckpoint:
    """Loads a model that was published with, or trained by, the original release.

    Depth, width, selective kernels, stem, image channels and both heads are inferred from the
    variables. Every variable must match: a missing, unexpected or wrongly shaped one is an
    error that names it. The published checkpoints are in folders such as
    `gs://simclr-checkpoints-tf2/simclrv2/pretrained/r50_1x_sk0/saved_model`.

    In the release, networks of basic blocks (depths 18 and 34) with selective kernels have
    only the stem and the shortcuts that come with them. With a small-image stem, no variable
    shows this, so such a network is loaded as the plain one.

    Args:
        path: Folder of a TF2 SavedModel of the release, a folder that contains one, or a
            `.tar` or `.tar.gz` of one. Only its `variables/` folder is needed.

    Returns:
        An `OfficialCheckpoint`, the named tuple `(encoder, projection_head, linear_head)`.

    Raises:
        InputError: If there is no such checkpoint, or its variables are not exactly those of a
            SimCLR ResNet with its heads.

    Example:
        >>> import simclr_keras as sk
        >>> try:  # download it first
        ...     encoder, head, classifier = sk.load_official_checkpoint("r50_1x_sk1")
        ... except ValueError as error:
        ...     print(str(error)[:36])
        There is no checkpoint of the SimCLR

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029;
        https://github.com/google-research/simclr (folder `tf2`).
    """
    path = here(path)
    with variables_folder(path) as folder:
        reader, variables, nameless = _read(path, folder)
        networks, wanted = _networks(_architecture(variables))
        variables = _check(path, variables, nameless, wanted, networks.encoder.name)
        for layer, names in wanted:
            with _reading(path):
                arrays = [reader.get_tensor(variables[name].key) for name in names]
            layer.set_weights(arrays)
    return networks


@with_local_copies
def official_architecture(path: str | os.PathLike) -> ReleaseArchitecture:
    """What networks a checkpoint holds, without loading them.

    Args:
        path: See `load_official_checkpoint`.

    Raises:
        InputError: If there is no such checkpoint, or it cannot be read.
    """
    path = here(path)
    with variables_folder(path) as folder:
        return _architecture(_read(path, folder)[1])


def _read(path: pathlib.Path, folder: pathlib.Path):
    """A checkpoint's reader, its variables by plain name, and the keys of those without one."""
    with _reading(path):
        reader = tf.train.load_checkpoint(str(folder / "variables"))
        shapes = reader.get_variable_to_shape_map()
        graph = reader.get_tensor(_OBJECT_GRAPH) if _OBJECT_GRAPH in shapes else None
    return reader, *_variables(shapes, graph)


def _architecture(variables: dict[str, _Variable]) -> ReleaseArchitecture:
    return infer_architecture(
        {name: v.shape for name, v in variables.items() if v.shape is not None}
    )


@contextlib.contextmanager
def _reading(path: pathlib.Path):
    try:
        yield
    except (tf.errors.OpError, RuntimeError, IndexError, ValueError) as error:
        # TensorFlow raises any of these for a truncated or corrupted file.
        raise InputError(
            f"The checkpoint in {path} cannot be read; copy or download it again. "
            f"Received: {' '.join(str(error).split())}"
        ) from error


def _variables(shapes, object_graph) -> tuple[dict[str, _Variable], list[str]]:
    """The variables by plain name, and the keys of those that have no name of their own."""
    if object_graph is None:
        raise InputError(
            "The checkpoint has no object graph, so it is not from the TF2 release. Received: "
            f"{', '.join(sorted(shapes)[:NAMED_IN_ERRORS])}, ..."
        )
    graph = trackable_object_graph_pb2.TrackableObjectGraph()
    graph.ParseFromString(object_graph)
    variables, named = {}, {_OBJECT_GRAPH}
    for node in graph.nodes:
        for attribute in node.attributes:
            name, key = attribute.full_name, attribute.checkpoint_key
            if not name or plain_name(name) in variables:
                continue
            shape = tuple(shapes[key]) if key in shapes else None
            variables[plain_name(name)] = _Variable(name, key, shape)
            named.add(key)
    return variables, sorted(set(shapes) - named)


def _networks(architecture: ReleaseArchitecture):
    """Builds the networks of the release with this architecture.

    Returns:
        The networks, and pairs (layer, plain names of its variables) for all their layers.
    """
    encoder = simclr_resnet(
        architecture.depth,
        channels=architecture.channels,
        width_multiplier=architecture.width_multiplier,
        small_image_stem=architecture.small_image_stem,
        selective_kernel_ratio=architecture.selective_kernel_ratio,
    )
    head = linear_head = None
    if architecture.projection_layers:
        head = ProjectionHead(
            architecture.projection_dim, architecture.projection_layers, name="projection_head"
        )
        head.build(encoder.output_shape)
    if architecture.classes is not None:
        linear_head = keras.layers.Dense(architecture.classes, name="head_supervised")
        linear_head.build(encoder.output_shape)
    names = release_names(
        architecture.depth,
        architecture.small_image_stem,
        architecture.selective_kernel_ratio > 0,
        architecture.projection_layers,
    )
    ours = {layer.name: layer for layer in encoder.layers}
    ours.update(
        (layer.name, layer)
        for layer in ([*head.dense_layers, *head.norm_layers] if head else [])
    )
    if linear_head:
        ours["head_supervised"] = linear_head
    wanted = [(ours[layer], names[layer]) for layer in names if layer in ours]
    return OfficialCheckpoint(encoder, head, linear_head), wanted


def _check(path, variables, nameless, wanted, network: str) -> dict[str, _Variable]:
    """Checks that a checkpoint has exactly the variables that the networks need.

    Returns:
        The variables, keyed by the names in `wanted`.

    Raises:
        InputError: If they differ; the message names the variables.
    """
    shapes = {
        name: tuple(weight.shape)
        for layer, names in wanted
        for name, weight in zip(names, layer.weights, strict=True)
    }
    problems = _problems(variables, nameless, shapes)
    if any(problems.values()):
        # The numbers may be offset by another model created earlier in the same process.
        names = renumbered(variables)
        again = {names[name]: variable for name, variable in variables.items()}
        if not any(_problems(again, nameless, shapes).values()):
            return again
        parts = [
            f"{len(names)} {problem}: {', '.join(names[:NAMED_IN_ERRORS])}"
            + (", ..." if len(names) > NAMED_IN_ERRORS else "")
            for problem, names in problems.items()
            if names
        ]
        raise InputError(
            "The checkpoint's variables do not match those of the closest SimCLR ResNet "
            f"({network}): {'; '.join(parts)}. Received: path={path}"
        )
    return variables


def _problems(variables, nameless, shapes) -> dict[str, list[str]]:
    absent = {name for name, v in variables.items() if v.shape is None}
    return {
        "missing": sorted((set(shapes) - set(variables)) | absent),
        "unexpected": sorted(v.name for n, v in variables.items() if n not in shapes)
        + nameless,
        "of the wrong shape": [
            f"{v.name} {v.shape} instead of {shapes[name]}"
            for name, v in sorted(variables.items())
            if name in shapes and v.shape not in (None, shapes[name])
        ],
    }
