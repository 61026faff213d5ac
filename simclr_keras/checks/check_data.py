"""`check_data`: what is odd about a folder of images."""

import collections
import dataclasses
import os
import pathlib
import typing

from ..data.datasets import folder_path, has_test_part, is_folder, load_source
from ..data.file_source import FileSource
from ..data.folders import split_folders, walk
from ..data.shard_folders import holds_shards
from ..data.sources import ImageSource
from ..errors import InputError
from ..local_copies import file_here, with_local_copies
from ..progress import counted, progress_shown
from ..result import Result
from .config import CheckDataConfig
from .findings import KINDS, Finding, of_folder, of_images
from .look import Look, look_at_all
from .page import write_findings


@dataclasses.dataclass(frozen=True)
class CheckDataResult(Result):
    """What `check_data` found.

    Attributes:
        dataset: The data.
        images: How many images were looked at.
        parts: Their number in each part: `train` and `test` (or `val`), or one without a name.
        findings: What is odd, in the order of the kinds.
        page: The page, if one was asked for.
    """

    dataset: str
    images: int
    parts: dict[str, int]
    findings: list[Finding]
    page: pathlib.Path | None = None

    def to_dict(self) -> dict[str, typing.Any]:
        return {**super().to_dict(), "counts": self.counts}

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind, in the order of the kinds."""
        found = collections.Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}


@progress_shown()
@with_local_copies
def check_data(config: CheckDataConfig) -> CheckDataResult:
    """Looks at every image of a folder and names what is odd; changes nothing.

    Named are images that cannot be read, and why; tiny ones; equal and almost equal pictures,
    and those that are in the training and in the test part; images of other channels than most,
    or with an EXIF orientation, which this package ignores; classes with one image or none; links
    to folders; and images that are ignored because of their suffix. No pipe, socket or device is
    opened, and nothing is decoded whose header declares more pixels than training would decode.

    Almost equal are pictures whose 64-bit difference hashes differ in up to `near_bits` bits and
    whose mean colours are close: mostly the same photo at another size or quality. Very small and
    plain pictures have no such hash.

    Args:
        config: The settings.

    Returns:
        A `CheckDataResult`.

    Raises:
        InputError: If there are no such data, or they hold no images.

    Example:
        >>> import simclr_keras as sk
        >>> result = sk.check_data(sk.CheckDataConfig("digits"))
        >>> result.images, result.counts["tiny"]
        (1797, 1797)

    Reference:
        Krawetz 2013, "Kind of Like That" (the difference hash),
        https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html; Barz &
        Denzler 2020, "Do We Train on Test Data?", https://arxiv.org/abs/1902.00423 (duplicates
        across the splits of CIFAR).
    """
    sources, findings = _load(config)
    total = sum(map(len, sources.values()))
    if not total and not findings:
        raise InputError(
            f"There are no images in {config.dataset}. Name a folder of images or shards."
        )
    looks: dict[str, Look] = {}
    with counted("Checking", total, "images") as show:
        for part, source in sources.items():
            before = sum(len(look.source) for look in looks.values())
            looks[part] = look_at_all(source, show, before)
    findings += of_images(looks, config.min_side, config.near_bits)
    order = list(KINDS)
    findings.sort(key=lambda finding: order.index(finding.kind))
    parts = {part: len(source) for part, source in sources.items()}
    result = CheckDataResult(config.dataset, total, parts, findings)
    if config.output is None:
        return result
    page = write_findings(
        file_here(config.output, get=False), result.dataset, total, findings, looks
    )
    return dataclasses.replace(result, page=page)


def _load(config: CheckDataConfig) -> tuple[dict[str, ImageSource], list[Finding]]:
    """The images of each part, and what is odd about their folders."""
    path = folder_path(config.dataset)
    if not is_folder(config.dataset) or holds_shards(path):
        # Says what is wrong with the name.
        parts = {"": load_source(config.dataset, "all", config.data_dir, skip_unreadable=True)}
        if config.dataset != "digits" and has_test_part(config.dataset, config.data_dir):
            test = load_source(
                config.dataset, "test", config.data_dir, skip_unreadable=True, labelled=False
            )
            parts = {"train": parts[""], "test": test}
        return parts, []
    sources: dict[str, ImageSource] = {}
    findings: list[Finding] = []
    for part, root in split_folders(path).items():
        content = walk(root, skip_closed=True)
        folders = [name.split(os.sep)[0] if os.sep in name else "" for name in content.images]
        names = sorted(set(folders) - {""})
        number = {name: place for place, name in enumerate(names)} | {"": -1}
        labels = [number[folder] for folder in folders]
        sources[part] = FileSource(content.images, labels, names, root)
        findings += of_folder(part, root, content)
    return sources, findings
