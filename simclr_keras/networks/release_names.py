"""Names that the original release gives to the variables of a SimCLR network.

Layer names are numbered (`conv2d_17`), separately for each kind of layer, in the order in
which the release's constructors create the layers: within a block, the shortcut comes first.
"""

import collections
import re

from .resnet import BLOCK_GROUPS

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_NORM_WITHOUT_OFFSET = ("gamma", "moving_mean", "moving_variance")


class _Numbers:
    """Names layers as Keras did: `conv2d`, `conv2d_1`, ..."""

    def __init__(self):
        self._counts = collections.Counter()

    def name(self, kind: str) -> str:
        number = self._counts[kind]
        self._counts[kind] += 1
        return _numbered(kind, number)

    def convolution(self, scope: str, padded: bool = True) -> list[str]:
        padding = f"{self.name('conv2d_fixed_padding')}/" if padded else ""
        return [f"{scope}/{padding}{self.name('conv2d')}/kernel"]

    def norm(self, scope: str, variables: tuple[str, ...] = _NORM) -> list[str]:
        layer = f"{scope}/{self.name('batch_norm_relu')}/{self.name('batch_normalization')}"
        return [f"{layer}/{variable}" for variable in variables]

    def dense(self, scope: str, variables: tuple[str, ...] = ("kernel",)) -> list[str]:
        layer = f"{scope}/{self.name('dense')}"
        return [f"{layer}/{variable}" for variable in variables]


def release_names(
    depth: int, small_image_stem: bool, selective_kernel: bool, head_layers: int
) -> dict[str, list[str]]:
    """Maps our layer names to the release's names for their variables.

    Args:
        depth: Depth of the ResNet.
        small_image_stem: Whether the ResNet has the stem for small images.
        selective_kernel: Whether it has selective kernels and the ResNet-D stem and shortcuts.
        head_layers: Number of layers of the projection head; 0 for no head.

    Returns:
        `{"initial_conv": ["resnet/.../kernel"], ...}` for the encoder, the projection head
        and, as `"head_supervised"`, a linear classifier. Each layer's variables are in the
        order of `layer.weights`.
    """
    numbers = _Numbers()
    names = _encoder(numbers, depth, small_image_stem, selective_kernel)
    for index in range(head_layers):
        scope = f"projection_head/nl_{index}"
        variables = _NORM if index < head_layers - 1 else _NORM_WITHOUT_OFFSET
        names[f"dense_{index}"] = numbers.dense(scope)
        names[f"norm_{index}"] = numbers.norm(scope, variables)
    names["head_supervised"] = numbers.dense("head_supervised/linear_layer", ("kernel", "bias"))
    return names


def _encoder(numbers, depth, small_image_stem, selective_kernel):
    names = {}
    if selective_kernel and not small_image_stem:
        for index in (1, 2):
            names[f"stem_conv{index}"] = numbers.convolution("resnet")
            names[f"stem_norm{index}"] = numbers.norm("resnet")
    names["initial_conv"] = numbers.convolution("resnet")
    names["initial_norm"] = numbers.norm("resnet")
    blocks, is_bottleneck = BLOCK_GROUPS[depth]
    for group, count in enumerate(blocks, start=1):
        for index in range(1, count + 1):
            ours = f"block_group{group}_block{index}"
            kind = "bottleneck_block" if is_bottleneck else "residual_block"
            scope = f"resnet/block_group{group}/{numbers.name(kind)}"
            if index == 1:
                names[f"{ours}_shortcut_conv"] = numbers.convolution(scope)
                names[f"{ours}_shortcut_norm"] = numbers.norm(scope)
            for place in (1, 2, 3) if is_bottleneck else (1, 2):
                if place == 2 and is_bottleneck and selective_kernel:
                    unit = f"{scope}/{numbers.name('sk__conv2d')}"
                    names[f"{ours}_conv2"] = numbers.convolution(unit)
                    names[f"{ours}_norm2"] = numbers.norm(unit)
                    names[f"{ours}_mix1"] = numbers.convolution(unit, padded=False)
                    names[f"{ours}_mix_norm"] = numbers.norm(unit)
                    names[f"{ours}_mix2"] = numbers.convolution(unit, padded=False)
                else:
                    names[f"{ours}_conv{place}"] = numbers.convolution(scope)
                    names[f"{ours}_norm{place}"] = numbers.norm(scope)
    return names


def plain_name(name: str) -> str:
    """A variable's name without the parts that depend on how the release was run.

    In the release, global batch norm is a different Keras class (`sync_batch_normalization`)
    and a linear head has a different scope (`l_0`).
    """
    name = name.removesuffix(":0").replace("/sync_batch_normalization", "/batch_normalization")
    return name.replace("projection_head/l_", "projection_head/nl_")


def renumbered(names) -> dict[str, str]:
    """Renumbers each kind of layer from 0, as if no other model had been created before.

    Args:
        names: Names from `plain_name`.

    Returns:
        A dictionary from each name to its new name.
    """
    numbers = collections.defaultdict(set)
    for name in names:
        for kind, number in filter(None, map(_counted, name.split("/"))):
            numbers[kind].add(number)
    ranks = {
        (kind, number): rank
        for kind, found in numbers.items()
        for rank, number in enumerate(sorted(found))
    }

    def rename(part):
        rank = ranks.get(_counted(part))
        return part if rank is None else _numbered(_counted(part)[0], rank)

    return {name: "/".join(map(rename, name.split("/"))) for name in names}


def _numbered(kind: str, number: int) -> str:
    return f"{kind}_{number}" if number else kind


def _counted(part: str) -> tuple[str, int] | None:
    """A layer's kind and number; `None` if its name is not numbered network-wide."""
    match = re.fullmatch(
        r"(conv2d_fixed_padding|conv2d|batch_norm_relu|batch_normalization|sk__conv2d|dense|"
        r"residual_block|bottleneck_block)(?:_(\d+))?",
        part,
    )
    return (match[1], int(match[2] or 0)) if match else None
