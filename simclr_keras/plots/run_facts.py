"""`RunFacts`: all that the page of a run shows, as plain values."""

import dataclasses
import typing
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run; what is not is empty, and its section is left out.

    Attributes:
        run: The run directory.
        settings: Those of pretraining, by name.
        sources: Where they come from; a setting that is not in it has its default.
        images: The numbers of `images`, `held_out` images and `classes`, as far as they are known.
        total_steps: Steps of the whole run; `None` if that is not known.
        is_finished: Whether pretraining is.
        collapsed_loss: Loss of equal projections, see `objective.nt_xent`.
        history: Rows of `history.csv`.
        measurements: `Measurement.to_dict()` of each row of `monitor.csv`.
        findings: What is wrong with the run at its last step; `None` if that cannot be said.
        evaluation: What `evaluation.json` holds.
        classifiers: The result of each fine-tuned or distilled classifier.
        pictures: What `draw_pictures` made; see there.
        commands: What ran, oldest first: `measured`, `command`, `date` and versions.
        problems: What could not be read.
    """

    run: str
    settings: Mapping[str, typing.Any]
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    images: Mapping[str, int] = dataclasses.field(default_factory=dict)
    total_steps: int | None = None
    is_finished: bool = False
    collapsed_loss: float = 0.0
    history: Sequence[Mapping[str, str]] = ()
    measurements: Sequence[Mapping[str, typing.Any]] = ()
    findings: Sequence[str] | None = None
    evaluation: Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)
    classifiers: Sequence[Mapping[str, typing.Any]] = ()
    pictures: Mapping[str, typing.Any] = dataclasses.field(default_factory=dict)
    commands: Sequence[Mapping[str, typing.Any]] = ()
    problems: Sequence[str] = ()

    @property
    def steps_made(self) -> int:
        """Steps made so far, as far as the history says."""
        return int(self.history[-1]["step"]) if self.history else 0

    @property
    def seconds_trained(self) -> float:
        """Seconds spent in steps, by the speed of each interval."""
        seconds, before = 0.0, 0
        for row in self.history:
            step, speed = int(row["step"]), float(row.get("images_per_second", 0))
            if speed > 0:
                seconds += (step - before) * self.settings["batch_size"] / speed
            before = step
        return seconds
