"""`refresh_page`: the page of a run, from the files in its directory."""

import dataclasses
import json
import logging
import pathlib
from collections.abc import Callable

from ..errors import RunFailure
from ..files import is_unfinished, write_json
from ..local_copies import outside
from ..objective.nt_xent import collapsed_loss
from ..plots.report_page import write_report_page
from ..plots.run_facts import RunFacts
from ..training.diagnosis import diagnose
from ..training.measurement import Measurement
from ..training.run_rows import read_history
from .directory import RunDirectory
from .monitor import circumstances, measured_rows
from .pretrain_config import PretrainConfig
from .pretraining import learning_rate_schedule
from .results import read_results

_LOGGER = logging.getLogger("simclr_keras")
# What a file holds that was cut off or edited.
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, StopIteration, OSError, RunFailure)


def refresh_page(
    directory: RunDirectory, pictures: Callable[[], dict] | None = None
) -> pathlib.Path | None:
    """Writes a run's page after a command; what goes wrong is a warning, as the work is done.

    Args:
        directory: The run.
        pictures: Draws the pictures (see `draw_pictures`). By default those of the last time
            are shown.

    Returns:
        The page; `None` if the run has none, by its setting `report` or as it could not be drawn.
    """
    try:
        if not (directory.read_config().report or directory.page.exists()):
            return None
        if pictures is not None:
            write_json(directory.pictures_file, pictures())
        return write_page(directory)
    except Exception as error:  # whatever it is, it must not cost the result of hours
        reason = (str(error) or type(error).__name__).splitlines()[0]
        _LOGGER.warning("The page %s could not be drawn: %s", directory.page, reason)
        return None


def write_page(directory: RunDirectory) -> pathlib.Path:
    """Writes the page of a run from the files in its directory; reads no images.

    Args:
        directory: The run; it need not be finished.

    Raises:
        InputError: If there is no run.
    """
    for problem in write_report_page(directory.page, _facts(directory)):
        _LOGGER.warning("%s: %s", directory.page, problem)
    return directory.page


def _facts(directory: RunDirectory) -> RunFacts:
    config, problems = directory.read_config(), []

    def read(file: pathlib.Path, of: Callable, default):
        """What a file says; what is damaged is a problem, not an error."""
        try:
            return of() if file.exists() else default
        except _DAMAGED as error:
            what = " ".join(str(error).split()) or type(error).__name__
            problems.append(f"{outside(file)} is left out, as it cannot be read: {what}")
            return default

    history = read(
        directory.history_file, lambda: _numbers(read_history(directory.history_file)), []
    )
    measurements = read(
        directory.monitor_file,
        lambda: [Measurement.from_row(row) for row in read_history(directory.monitor_file)],
        [],
    )
    calls = directory.read_chosen("calls") or []
    results = read(directory.results_file, lambda: read_results(directory), [])
    commands = [{"measured": "pretrain", **call} for call in calls]
    commands += [{k: v for k, v in entry.items() if k != "result"} for entry in results]
    settings = dataclasses.asdict(config)
    return RunFacts(
        run=outside(directory.path),
        sources=settings.pop("sources"),
        settings=settings,
        images=directory.read_chosen("counts") or {},
        total_steps=directory.read_chosen("total_steps"),
        is_finished=directory.is_finished,
        collapsed_loss=collapsed_loss(
            config.batch_size, config.loss == "decoupled", config.views
        ),
        history=history,
        measurements=[each.to_dict() for each in measurements],
        findings=_findings(config, directory, history, measurements),
        evaluation=read(
            directory.evaluation_file, lambda: _object(directory.evaluation_file), {}
        ),
        classifiers=[
            found
            for kind in ("fine-tuned", "distilled")
            for file in sorted(directory.path.glob(f"{kind}/*/result.json"))
            if not is_unfinished(file.parent)
            and (found := read(file, lambda file=file: _object(file), {}))
        ],
        pictures=read(directory.pictures_file, lambda: _object(directory.pictures_file), {}),
        commands=commands,
        problems=problems,
    )


def _numbers(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a history; raises a `ValueError` if they do not hold numbers."""
    for row in rows:
        for value in row.values():
            float(value or "nan")  # empty: a longer run logged more
        float(row["loss"]), float(row["contrastive_accuracy"])
    return rows


def _object(file: pathlib.Path) -> dict:
    found = json.loads(file.read_text())
    if not isinstance(found, dict):
        raise ValueError("it does not hold a JSON object")
    return found


def _findings(
    config: PretrainConfig,
    directory: RunDirectory,
    history: list[dict[str, str]],
    measurements: list[Measurement],
) -> list[str] | None:
    """What the diagnosis says at the last step; `None` before the first."""
    total_steps = directory.read_chosen("total_steps")
    if not history or not total_steps:
        return None
    run = circumstances(
        config,
        learning_rate_schedule(config, total_steps),
        directory.read_chosen("repeated_images") or 0.0,
    )
    return [finding.text for finding in diagnose(measured_rows(history, measurements), run)]
