"""`RUN/results.json`: what each command measured on a run, oldest first."""

import json

import filelock

from ..errors import RunFailure
from ..files import check_can_be_written, write_json
from ..local_copies import get_again
from .directory import RunDirectory
from .environment import environment

_WAIT_SECONDS = 10.0


def record_result(
    directory: RunDirectory, measured: str, result: dict, once: bool = False
) -> None:
    """Appends a result to the list in `RUN/results.json`.

    Each entry holds `measured`, the `command` that measured it (`None` from Python), its `date`
    in UTC, the `version` of this package, those of `tensorflow`, `keras` and `python`, the
    `processor`, and the `result`. The file is written atomically under a lock, so concurrent
    commands do not lose each other's entries.

    Args:
        directory: The run; its folder exists.
        measured: `"evaluate"`, `"fine-tune"`, `"distill"`, ...
        result: The result, JSON-serialisable.
        once: Leave the list as it is if it has this result: of what is finished, it may be missing,
            because a command was killed between saving and recording.

    Raises:
        RunFailure: If `results.json` is not a list of results (it is left as it is), or another
            command holds its lock for too long.
    """
    path = directory.results_file
    entry = {"measured": measured, **environment(), "result": result}
    try:
        with filelock.FileLock(path.with_name(".results.lock"), timeout=_WAIT_SECONDS):
            get_again(path)
            entries = read_results(directory)
            if not (once and any(_is_same(each, entry) for each in entries)):
                write_json(path, [*entries, entry])
    except filelock.Timeout as error:
        raise RunFailure(
            f"Another command has been writing to {path} for {_WAIT_SECONDS:.0f} s. Repeat this "
            "command when that one has finished."
        ) from error


def check_results(directory: RunDirectory) -> None:
    """Raises an error if `results.json` is not a list of results, or cannot be written.

    Call before long work.

    Raises:
        InputError: If the run's folder cannot be written to.
        RunFailure: If the file is something else.
    """
    check_can_be_written(directory.results_file, "The file of results")
    read_results(directory)


def _is_same(recorded: dict, entry: dict) -> bool:
    """Whether an entry is recorded; earlier versions recorded fewer fields."""
    known = recorded.get("result") or {}
    part = {name: entry["result"].get(name) for name in known}
    texts = [json.dumps(each, sort_keys=True) for each in (known, part)]  # NaN equals NaN
    return recorded["measured"] == entry["measured"] and texts[0] == texts[1]


def read_results(directory: RunDirectory) -> list[dict]:
    """The entries of `results.json`, oldest first; raises a `RunFailure` if it holds others."""
    path = directory.results_file
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text())
    except ValueError:  # not JSON, or not text
        entries = None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and "measured" in entry for entry in entries
    ):
        raise RunFailure(
            f"{path} is not a list of results, and is left as it is. Move it away and repeat "
            "the command."
        )
    return entries
