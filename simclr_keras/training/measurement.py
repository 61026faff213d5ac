"""`Measurement`: what was measured on the same images, at one step of a run."""

import dataclasses
import typing
from collections.abc import Mapping

from ..result import Result

Part: typing.TypeAlias = typing.Literal["held_out", "training_images"]
PART_NAMES = {"held_out": "held-out images", "training_images": "training images"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement(Result):
    """Measures of an encoder in inference mode, on M fixed images with fixed views.

    Attributes:
        step: Steps made before.
        part: Whether training sees the images: `"held_out"` or `"training_images"`.
        images: M: each view is compared with the 2M - 1 others.
        loss: The run's contrastive loss on their projections.
        contrastive_accuracy: How often a view's partner is its nearest, by projections.
        retrieval: How often a view's partner is its nearest, by features.
        alignment: See `alignment`, of the features.
        uniformity: See `uniformity`, of the features of the first views.
        effective_rank: See `effective_rank`, of the features of the first views.
        knn_accuracy: Accuracy of weighted kNN; `None` without labels.
    """

    step: int
    part: Part
    images: int
    loss: float
    contrastive_accuracy: float
    retrieval: float
    alignment: float
    uniformity: float
    effective_rank: float
    knn_accuracy: float | None = None

    @property
    def numbers(self) -> dict[str, typing.Any]:
        """All numbers but the step; without what was not measured."""
        return {k: value for k, value in self.to_dict().items() if k not in ("step", "part")}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> "Measurement":
        """From a row of `monitor.csv`, where the names of the numbers begin with the part."""
        part = next(part for part in typing.get_args(Part) if row.get(f"{part}_images"))
        read = {"images": int}
        numbers: dict[str, typing.Any] = {
            name: read.get(name, float)(row[f"{part}_{name}"])
            for name in (field.name for field in dataclasses.fields(cls))
            if row.get(f"{part}_{name}")
        }
        return cls(step=int(row["step"]), part=part, **numbers)


def comparison(first: Measurement, last: Measurement) -> str:
    """What changed between two measurements, in a line for people."""
    numbers = {
        "kNN": ("knn_accuracy", "{:.1%}"),
        "effective rank": ("effective_rank", "{:.3g}"),
        "partners retrieved": ("retrieval", "{:.1%}"),
        "loss": ("loss", "{:.4g}"),
    }
    changes = [
        f"{name} {form.format(getattr(first, key))} -> {form.format(getattr(last, key))}"
        for name, (key, form) in numbers.items()
        if getattr(first, key) is not None and getattr(last, key) is not None
    ]
    begin = f"Step {first.step}" if first.step else "Before the first step"
    return f"{begin} -> now: {', '.join(changes)} ({last.images} {PART_NAMES[last.part]})."
