"""`report`: the pictures and the page of a run."""

import dataclasses
import pathlib

from ..files import write_json
from ..local_copies import with_local_copies
from ..objective.nt_xent import collapsed_loss
from ..plots.figures import save_curves
from ..plots.views import save_views
from ..progress import progress_shown
from ..result import Result
from ..training.run_rows import read_history
from .config import ReportConfig
from .directory import RunDirectory
from .report_page import write_page
from .report_pictures import draw_pictures, first_views
from .run_images import check_images, image_sizes, locate_images
from .run_source import training_parts


@dataclasses.dataclass(frozen=True)
class ReportResult(Result):
    """What `report` drew.

    Attributes:
        page: All that is known of the run, in one HTML file.
        views: Images of the first step and their views, as trained on.
        draws: A histogram of every sampled parameter, with its intended distribution.
        curves: The curves in `history.csv`; `None` if it has no rows yet.
    """

    page: pathlib.Path
    views: pathlib.Path
    draws: pathlib.Path
    curves: pathlib.Path | None = None


@progress_shown()
@with_local_copies
def report(config: ReportConfig) -> ReportResult:
    """Draws what a run was trained on, what it learned and what was measured, into `RUN/report`.

    `index.html` is one file that needs nothing else and loads nothing: a summary in words,
    curves, views, draws, nearest neighbours and a map of the features (of a finished run), the
    results of later commands, and how the run was made.

    Args:
        config: The settings; the run need not be finished.

    Returns:
        A `ReportResult`: the paths of `index.html`, `views.png`, `draws.png` and `curves.png`.

    Raises:
        InputError: If there is no run, or its data cannot be found or are others.

    Example:
        >>> import simclr_keras as sk
        >>> sk.report(sk.ReportConfig("runs/digits")).page.name
        'index.html'

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Figure 4.
    """
    directory = RunDirectory(config.run)
    run, other = locate_images(directory, config.dataset)
    run = dataclasses.replace(
        run, dataset=other or run.dataset, data_dir=config.data_dir or run.data_dir
    )
    parts = training_parts(run, directory)
    check_images(directory, image_sizes(parts[0]), run.dataset)
    views = first_views(run, parts[0])
    paths = save_views(directory.report, views)
    history = read_history(directory.history_file)
    if history:
        collapsed = collapsed_loss(run.batch_size, run.loss == "decoupled", run.views)
        paths["curves"] = save_curves(directory.report / "curves.png", history, collapsed)
    encoder = directory.load_encoder() if directory.is_finished else None
    write_json(directory.pictures_file, draw_pictures(run, parts, views, encoder))
    return ReportResult(page=write_page(directory), **paths)
