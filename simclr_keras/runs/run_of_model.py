"""`run_of_model`: a run directory for commands that start from a trained model."""

import dataclasses

from ..errors import InputError
from ..serving.versions import read_metadata
from .classifier_config import FineTuneConfig
from .initial_weights import kind_of
from .pretrain import pretrain
from .pretrain_config import PretrainConfig


def run_of_model(config: FineTuneConfig) -> FineTuneConfig:
    """Makes a run of no step from the trained model that `run` may name.

    Args:
        config: The settings of a command on a run.

    Returns:
        The settings with a run directory as `run`; unchanged if it is one.

    Raises:
        InputError: If `run_dir` is missing with a model or given with a run, or there are no
            images.
    """
    kind = kind_of(config.run)
    if kind in (None, "run", "official") and config.run_dir is None:
        return config  # what is neither is reported by what reads the run
    if kind in (None, "run"):
        raise InputError(
            "`run_dir` is for a trained model, such as an export. "
            f"Received: run={config.run}, which is not one, and run_dir={config.run_dir}"
        )
    if config.run_dir is None or config.dataset is None:
        raise InputError(
            f"{config.run} is a trained model, not a run: name the images to learn from with "
            "`dataset`, and with `run_dir` a directory for the results. "
            f"Received: dataset={config.dataset}, run_dir={config.run_dir}"
        )
    trained = (read_metadata(config.run)["training_run"] if kind == "export" else None) or {}
    pretrain(
        PretrainConfig.from_sources(
            **{name: trained[name] for name in ("crop_area_min", "flip") if name in trained},
            dataset=config.dataset,
            data_dir=config.data_dir,
            weights=config.run,
            run_dir=config.run_dir,
            steps=0,
        )
    )
    return dataclasses.replace(config, run=config.run_dir, run_dir=None, dataset=None)
