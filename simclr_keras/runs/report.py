"""`report`: the pictures of a run."""

import os

from ..data.order import step_indices
from ..objective.nt_xent import collapsed_loss
from ..report.figures import save_curves
from ..report.views import save_views
from ..training.callbacks import read_history
from .directory import RunDirectory
from .pretrain import build_augmenter, training_batches, training_source

_IMAGES = 10


def report(run_dir: str | os.PathLike) -> dict[str, str]:
    """Draws what a run was trained on and what it logged, into `RUN/report`.

    - `views.png`: images of the first step and their two views, as trained on;
    - `draws.png`: a histogram of every sampled parameter, with its intended distribution;
    - `curves.png`: the curves in `history.csv`, once it has rows.

    Args:
        run_dir: A run directory; the run need not be finished.

    Returns:
        Name and path of each picture.

    Raises:
        InputError: If there is no run, or its data cannot be found.
    """
    directory = RunDirectory(run_dir)
    config = directory.read_config()
    source, augmenter = training_source(config), build_augmenter(config)
    rows = min(_IMAGES, config.batch_size)
    batches = training_batches(config, source, augmenter, 0, 1, rows=rows)
    batch = next(iter(batches))
    batch = batch[0] if config.probe else batch
    order = step_indices(
        length=len(source),
        batch_size=config.batch_size,
        seed=config.seed,
        first_step=0,
        num_steps=1,
    )
    _, index = next(iter(order))
    images = [source.load(place).numpy() for place in index[:rows]]
    paths = save_views(
        directory.report, images, batch, augmenter, config.seed, config.batch_size
    )
    history = read_history(directory.history_file)
    if history:
        collapsed = collapsed_loss(config.batch_size, config.loss == "decoupled")
        paths["curves"] = save_curves(directory.report / "curves.png", history, collapsed)
    return {name: str(path) for name, path in paths.items()}
