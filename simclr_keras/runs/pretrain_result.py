"""What `pretrain` returns."""

import dataclasses
import pathlib

from ..result import Result
from ..training.diagnosis import Finding
from ..training.measurement import Measurement


@dataclasses.dataclass(frozen=True)
class PretrainResult(Result):
    """What `pretrain` did.

    Attributes:
        run_dir: The run directory.
        steps: Steps of the whole run.
        first_step: The step this call began at: 0, or where an earlier call ended.
        loss: Mean loss of the last interval, `None` if there was nothing left to do.
        first_measurement: Of fixed images, before the first step; `None` if nothing was measured,
            or this is not the worker that writes the run's files.
        last_measurement: Of the same images, after the last step.
        findings: What is wrong with the run at its end; `None` if there was nothing left to do.
        unreadable: Images that could not be read and were replaced, name -> why; `None` for none.
        page: The page of the run, see `report`; `None` if it has none.
    """

    run_dir: str
    steps: int
    first_step: int
    loss: float | None
    first_measurement: Measurement | None = None
    last_measurement: Measurement | None = None
    findings: list[Finding] | None = None
    unreadable: dict[str, str] | None = None
    page: pathlib.Path | None = None
