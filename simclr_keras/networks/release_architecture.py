"""`infer_architecture`: which networks of the release a checkpoint's variables belong to."""

import re
import statistics
import typing

from ..errors import InputError
from .resnet import BASE_WIDTH, BLOCK_GROUPS, SELECTIVE_KERNEL_RATIO

NAMED_IN_ERRORS = 5


class ReleaseArchitecture(typing.NamedTuple):
    """The networks in a checkpoint of the release.

    Attributes:
        depth: Of the ResNet.
        channels: Of its images.
        width_multiplier: Multiple of its filters.
        small_image_stem: Whether its stem is that for small images.
        selective_kernel_ratio: 0 without selective kernels.
        projection_dim: Dimension of the projections; 0 without a head.
        projection_layers: Layers of the projection head; 0 without one.
        classes: Of the linear head; `None` without one.
    """

    depth: int
    channels: int
    width_multiplier: float
    small_image_stem: bool
    selective_kernel_ratio: float
    projection_dim: int
    projection_layers: int
    classes: int | None


def infer_architecture(shapes: dict[str, tuple[int, ...]]) -> ReleaseArchitecture:
    """The networks that variables describe.

    A single wrong variable must not change what is built, or the error would name all the
    others. So names and sizes count only if they occur often.

    Args:
        shapes: Shapes of the variables by plain name.

    Raises:
        InputError: If there is no ResNet of the release.
    """
    blocks = {
        match[0]: (int(match[1]), match[2] == "bottleneck")
        for match in (
            re.match(r"resnet/block_group([1-4])/(residual|bottleneck)_block(_\d+)?/", name)
            for name in shapes
        )
        if match
    }
    if not blocks:
        raise InputError(
            "The checkpoint holds no ResNet of the SimCLR release (no resnet/block_group1/...)."
            f" Received: {', '.join(sorted(shapes)[:NAMED_IN_ERRORS])}, ..."
        )
    is_bottleneck = statistics.mode(kind for _, kind in blocks.values())
    counts = [sum(group == g for g, _ in blocks.values()) for group in (1, 2, 3, 4)]
    depth = min(  # the nearest, so that the error for a missing block names its variables
        (depth for depth, (_, kind) in BLOCK_GROUPS.items() if kind == is_bottleneck),
        key=lambda depth: sum(abs(a - b) for a, b in zip(counts, BLOCK_GROUPS[depth][0])),
    )
    features = max(_frequent_sizes(shapes, "resnet/block_group4/"), default=BASE_WIDTH)
    filters = features // 4 if is_bottleneck else features  # of the fourth group
    mixing = min(_frequent_sizes(shapes, "resnet/block_group4/.*/sk__conv2d"), default=0)
    stem_norms = {
        match[0] for match in map(re.compile(r"resnet/batch_norm\w*").match, shapes) if match
    }
    has_long_stem = len(stem_norms) > 1
    stem = sorted(
        (int(match[1] or 0), shapes[match[0]])
        for match in map(
            re.compile(r"resnet/conv2d_fixed_padding(?:_(\d+))?/conv2d\w*/kernel").match, shapes
        )
        if match and len(shapes[match[0]]) == 4
    )
    first_kernel = stem[0][1] if stem else (7, 7, 3, None)
    head_layers = [int(i) for i in re.findall(r"projection_head/nl_(\d+)/", "\n".join(shapes))]
    last = f"projection_head/nl_{max(head_layers, default=0)}/"
    sizes = _frequent_sizes(shapes, last, least=2)
    classes = [s[-1] for name, s in shapes.items() if name.startswith("head_supervised/") and s]
    return ReleaseArchitecture(
        depth,
        channels=first_kernel[2],
        width_multiplier=filters / (8 * BASE_WIDTH),
        small_image_stem=first_kernel[0] == 3 and not has_long_stem,
        selective_kernel_ratio=mixing / filters
        if is_bottleneck
        else SELECTIVE_KERNEL_RATIO * has_long_stem,
        projection_dim=max(sizes, default=features) if head_layers else 0,
        projection_layers=max(head_layers, default=-1) + 1,
        classes=statistics.mode(classes) if classes else None,
    )


def _frequent_sizes(shapes, scope: str, least: int = 4) -> list[int]:
    """Sizes shared by at least `least` vectors in a scope; one batch norm has three or four."""
    sizes = [s[0] for name, s in shapes.items() if len(s) == 1 and re.match(scope, name)]
    return [size for size in set(sizes) if sizes.count(size) >= least]
