"""`report`: the pictures of a run."""

import dataclasses
import pathlib

from ..data.bad_images import BadImages
from ..data.order import step_indices
from ..objective.nt_xent import collapsed_loss
from ..plots.figures import save_curves
from ..plots.views import save_views
from ..result import Result
from ..training.run_rows import read_history
from .config import ReportConfig
from .directory import RunDirectory
from .pretraining import build_augmenter, training_batches
from .run_images import check_images, image_sizes, locate_images
from .run_source import training_source

_IMAGES = 10


@dataclasses.dataclass(frozen=True)
class ReportResult(Result):
    """The pictures that `report` drew.

    Attributes:
        views: Images of the first step and their views, as trained on.
        draws: A histogram of every sampled parameter, with its intended distribution.
        curves: The curves in `history.csv`; `None` if it has no rows yet.
    """

    views: pathlib.Path
    draws: pathlib.Path
    curves: pathlib.Path | None = None


def report(config: ReportConfig) -> ReportResult:
    """Draws what a run was trained on and what it logged, into `RUN/report`.

    Args:
        config: The settings; the run need not be finished.

    Returns:
        A `ReportResult`: the paths of `views.png`, `draws.png` and `curves.png`.

    Raises:
        InputError: If there is no run, or its data cannot be found or are others.

    Example:
        >>> import simclr_keras as sk
        >>> sk.report(sk.ReportConfig("runs/digits")).views.name
        'views.png'

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Figure 4.
    """
    directory = RunDirectory(config.run)
    run, other = locate_images(directory, config.dataset)
    run = dataclasses.replace(
        run, dataset=other or run.dataset, data_dir=config.data_dir or run.data_dir
    )
    source, augmenter = training_source(run, directory), build_augmenter(run)
    check_images(directory, image_sizes(source), run.dataset)
    rows = min(_IMAGES, run.batch_size)
    order = step_indices(
        length=len(source),
        batch_size=run.batch_size,
        seed=run.seed,
        first_step=0,
        num_steps=1,
    )
    _, index = next(iter(order))
    bad_images = BadImages(len(source), run.max_bad_fraction)
    while found := source.find_unreadable(index[:rows]):  # what replaces one may be bad too
        source = bad_images.replaced(source, found)
    batches = training_batches(run, source, augmenter, 0, 1, rows=rows)
    batch = next(iter(batches))
    batch = batch[0] if run.probe else batch
    images = [source.load(place).numpy() for place in index[:rows]]
    paths = save_views(directory.report, images, batch, augmenter, run.seed, run.batch_size)
    history = read_history(directory.history_file)
    if history:
        collapsed = collapsed_loss(run.batch_size, run.loss == "decoupled", run.views)
        paths["curves"] = save_curves(directory.report / "curves.png", history, collapsed)
    return ReportResult(**paths)
