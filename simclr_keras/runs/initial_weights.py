"""`InitialWeights`: trained networks that a pretraining run starts from."""

import dataclasses
import os
import typing
from collections.abc import Sequence

import keras
import numpy as np

from ..errors import InputError
from ..local_copies import here, outside, with_local_copies
from ..networks.official_checkpoints import load_official_checkpoint, official_architecture
from ..networks.own_function import is_function
from ..networks.projection_head import ProjectionHead
from ..networks.saved_encoder import is_encoder_file, load_encoder
from ..serving.versions import (
    METADATA_FILE,
    embedding_dimension,
    find_version,
    load_exported,
    read_metadata,
)
from ..stores import has_file, has_folder, join
from .directory import RunDirectory

# The settings that describe the networks of a run.
_OF_NETWORKS = (
    "encoder",
    "width_multiplier",
    "small_image_stem",
    "selective_kernel",
    "normalization",
    "projection_dim",
    "projection_layers",
    "projection_hidden_dim",
    "image_size",
)
_ARCHIVES = (".tar", ".tar.gz", ".tgz")
ModelKind: typing.TypeAlias = typing.Literal["run", "export", "official", "keras"]


@dataclasses.dataclass(frozen=True)
class InitialWeights:
    """The weights of trained networks, to copy into those of a new run.

    Attributes:
        encoder: Those of the encoder.
        projection_head: Those of the projection head; `None` if it is not known.
        origin: Where they come from, for people.
        of_export: Whether `encoder` has the model's `variables`, as an export does, rather than
            its `weights`: with some networks, these leave out the state of random layers.
    """

    encoder: Sequence[np.ndarray]
    projection_head: Sequence[np.ndarray] | None
    origin: str
    of_export: bool = False

    def fit_encoder(self, encoder: keras.Model) -> bool:
        """Whether the weights have the shapes of the encoder's."""
        return _shapes(self.encoder) == _shapes(self._variables(encoder))

    def fit_projection_head(self, projection_head: ProjectionHead) -> bool:
        """Whether the weights of a head are known, and have the shapes of this one's."""
        weights = self.projection_head
        return weights is not None and _shapes(weights) == _shapes(projection_head.weights)

    def copy_to_encoder(self, encoder: keras.Model) -> None:
        """Gives an encoder the weights.

        Raises:
            InputError: If it has others.
        """
        variables = self._variables(encoder)
        if not self.fit_encoder(encoder):
            raise InputError(
                f"The weights of {self.origin} are not those of encoder={encoder.name}: "
                f"{_difference(self.encoder, variables)}. Leave `encoder` and the settings of its "
                "architecture out to continue with the network that they were trained in (in Python: "
                "with `PretrainConfig.from_sources`), or set them as there."
            )
        _assign(variables, self.encoder)

    def copy_to_projection_head(self, projection_head: ProjectionHead) -> None:
        """Gives a projection head the weights, if they fit; otherwise it keeps its own."""
        if self.projection_head is not None and self.fit_projection_head(projection_head):
            _assign(projection_head.weights, self.projection_head)

    def _variables(self, encoder: keras.Model) -> Sequence:
        return encoder.variables if self.of_export else encoder.weights


@with_local_copies
def network_settings(weights: str | None) -> dict[str, object]:
    """The settings of `pretrain` that describe the networks whose weights these are.

    Args:
        weights: The setting `weights`.

    Returns:
        setting -> value; empty if nothing but the weights is known, or nothing is there.

    Raises:
        InputError: If an export or a checkpoint cannot be read, or is of a classifier.
        RunFailure: If the other Keras generation wrote the run.
    """
    kind = kind_of(weights)
    if weights is None or kind is None:
        return {}
    if kind == "run":
        directory = RunDirectory(weights)
        settings = dataclasses.asdict(directory.read_config())
        if not _is_known(settings["encoder"]):
            settings["encoder"] = outside(directory.encoder_file)
        return _of_networks(settings)
    if kind == "export":
        embedding_dimension(weights)  # raises an error for a classifier
        metadata = read_metadata(weights)
        settings = metadata["training_run"] or {"encoder": metadata["encoder"]}
        if not _is_known(settings["encoder"]):
            settings = {}
        return _of_networks({**settings, "image_size": metadata["image_size"]})
    if kind == "official":
        found = official_architecture(weights)
        head = {name: getattr(found, name) for name in ("projection_dim", "projection_layers")}
        head["projection_hidden_dim"] = None  # that of the features, whatever a preset says
        return {
            "encoder": f"simclr_resnet{found.depth}",
            "width_multiplier": found.width_multiplier,
            "small_image_stem": found.small_image_stem,
            "selective_kernel": found.selective_kernel_ratio > 0,
            **(head if found.projection_layers else {}),
        }
    return {"encoder": weights}


@with_local_copies
def load_initial_weights(weights: str | None) -> InitialWeights | None:
    """Loads what a run starts from.

    Args:
        weights: The setting `weights`.

    Returns:
        The weights; `None` if the setting is empty, `imagenet` or a file that only Keras knows to
        apply: see `build_encoder`.

    Raises:
        InputError: If there is nothing at that path, or it cannot be read.
        RunFailure: If the other Keras generation wrote it.
    """
    kind = kind_of(weights)
    if weights is None or kind is None and weights_for_keras(weights):
        return None
    if kind is None or not (has_file(weights) or has_folder(weights)):
        raise InputError(
            "`weights` must be `imagenet`, or the path of a run, an export, a .keras file, a weights "
            f"file or a checkpoint of the original release. There is nothing at that path. Received: "
            f"weights={weights}"
        )
    if kind == "run":
        directory = RunDirectory(weights)
        encoder = directory.load_encoder()
        head = (
            directory.load_projection_head()
            if directory.projection_head_file.exists()
            else None
        )
        config = directory.read_config()
        return InitialWeights(
            encoder.get_weights(),
            head.get_weights() if head else None,
            f"the run {weights} on {config.dataset}",
        )
    if kind == "export":
        run = read_metadata(weights)["training_run"]
        stored = load_exported(weights).variables
        on = f" of a run on {run['dataset']}" if run else ""
        return InitialWeights(
            [_in_full(variable.numpy()) for variable in stored],
            None,
            f"the export {find_version(weights)}{on}",
            of_export=True,
        )
    if kind == "official":
        encoder, head, _ = load_official_checkpoint(weights)
        return InitialWeights(
            encoder.get_weights(),
            head.get_weights() if head else None,
            f"the checkpoint {weights} of the original release",
        )
    return InitialWeights(load_encoder(weights).get_weights(), None, f"the file {weights}")


def weights_for_keras(weights: str | None) -> str | None:
    """The weights, if Keras loads them: `imagenet`, or a file that exists and holds only weights."""
    if weights is None or weights == "imagenet":
        return weights
    path = str(here(weights))
    is_there = any(map(os.path.exists, (path, f"{path}.index")))  # a checkpoint's prefix
    return path if is_there and kind_of(weights) is None else None


def kind_of(weights: str | None) -> ModelKind | None:
    """What there is at a path; `None` for a plain weights file, `imagenet` or nothing."""
    if weights is None:
        return None
    if is_encoder_file(weights):
        return "keras"
    if weights.endswith(_ARCHIVES):
        return "official"
    if not has_folder(weights):
        return None
    if has_file(join(weights, "config.json")) and RunDirectory(weights).is_begun:
        return "run"
    try:
        is_ours = has_file(join(find_version(weights), METADATA_FILE))
    except InputError:  # of the release, only `variables/` is needed
        is_ours = False
    return "export" if is_ours else "official"


def _is_known(encoder: str) -> bool:
    """Whether the name of an encoder, from a file, tells its architecture.

    That of a file may be gone, and that of a function must come from the user: its code is run.
    """
    return not is_encoder_file(encoder) and not is_function(encoder)


def _of_networks(settings: dict) -> dict[str, object]:
    """Those of a run's settings that describe its networks.

    Frozen batch norms have the weights of batch norms, and whether to freeze them is a choice.
    """
    known = {name: settings[name] for name in _OF_NETWORKS if name in settings}
    if known.get("normalization") != "group":
        known.pop("normalization", None)
    return known


def _in_full(array: np.ndarray) -> np.ndarray:
    """A weight of an export, whose kernels may be stored at half the size."""
    # bfloat16 is no NumPy type, and its kind is "V".
    return array.astype(np.float32) if array.dtype.kind in "fV" else array


def _shapes(variables: Sequence) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]


def _difference(weights: Sequence, variables: Sequence) -> str:
    """Says where the shapes of two lists of weights differ first."""
    if len(weights) != len(variables):
        return f"{len(weights)} weights instead of {len(variables)}"
    pairs = zip(_shapes(weights), _shapes(variables), strict=True)
    first, (theirs, ours) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
    return f"weight {first + 1} of {len(weights)} has the shape {theirs} instead of {ours}"


def _assign(variables: Sequence, weights: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)
