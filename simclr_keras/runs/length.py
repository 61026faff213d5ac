"""`run_length`: the steps of a run, chosen by its settings, and raised by a later command."""

from ..errors import InputError
from .directory import RunDirectory
from .pretrain_config import PretrainConfig


def run_length(
    config: PretrainConfig, directory: RunDirectory, steps_per_epoch: int
) -> int | None:
    """The steps that a run shall have.

    A new run has `steps`, or those of `epochs`. An existing run keeps its length if none is given,
    and may be raised: the rest of the run follows the longer schedule. The length of a run with a
    budget is chosen when it begins.

    Args:
        config: The settings of this command.
        directory: The run, which may not exist yet.
        steps_per_epoch: Steps in one pass over the data.

    Returns:
        The number of steps; `None` for a new run with a budget of `minutes`.

    Raises:
        InputError: If the run is longer already, or was begun with another budget.
    """
    begun = directory.read_total_steps(steps_per_epoch)
    if begun is None:
        return None if config.minutes else config.total_steps(steps_per_epoch)
    if config.minutes and config.minutes != directory.read_config().minutes:
        raise InputError(
            f"The run in {directory.path} has {begun} steps, chosen when it began. Give it more "
            f"with `steps`, or choose another `run_dir`. Received: minutes={config.minutes:g}"
        )
    if config.minutes or config.steps is config.epochs is None:
        return begun
    asked = config.total_steps(steps_per_epoch)
    if asked < begun:
        raise InputError(
            f"The run in {directory.path} has {begun} steps; its length can only be raised. Choose "
            f"another `run_dir`. Received: {asked} steps"
        )
    return asked
