"""`draw_views`: pictures of pairs of views and of the parameters drawn for them."""

import os
import pathlib
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..data.sources import ImageSource
from ..views.augmenter import SimCLRAugmenter
from ..views.cutting import CropCutter
from .draws import collect_draws
from .figures import save_draws, save_view_pairs

_STEP_OF_DRAWS = 256  # images per step


def draw_views(
    source: ImageSource,
    augmenter: SimCLRAugmenter,
    folder: str | os.PathLike,
    seed: int = 0,
    images: int = 10,
) -> dict[str, pathlib.Path]:
    """Writes pictures of the views of some images, to look at before training on them.

    `views.png` shows each image above its views. `draws.png` has a histogram of every
    parameter that is drawn for images of these sizes, with its intended distribution. If you
    cannot tell from a view what the image was, the augmentations are too strong for your data.

    Args:
        source: The images; a few, evenly spaced over it, are drawn.
        augmenter: Makes the views.
        folder: Where to write; it is created.
        seed: The run's seed; the views are those of step 0.
        images: How many images to draw.

    Returns:
        The paths, `views` and `draws`.

    Example:
        >>> import simclr_keras as sk
        >>> source = sk.load_source("digits", "train")
        >>> augmenter = sk.SimCLRAugmenter(8, color_jitter_strength=0.5, flip=False)
        >>> sk.draw_views(source, augmenter, "pictures")["views"].name
        'views.png'

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Figure 4.
    """
    places = np.unique(np.linspace(0, len(source) - 1, min(images, len(source))).astype(int))
    places = np.setdiff1d(places, list(source.find_unreadable(places)))
    cutter = CropCutter(augmenter, seed)
    drawn = cutter.draw(tf.constant(0, tf.int64), tf.range(len(places), dtype=tf.int64))
    crops = [cutter.cut(source.read(int(place)), row) for place, row in zip(places, drawn)]
    pictures = [source.load(int(place)).numpy() for place in places]
    return save_views(
        folder, views_of(pictures, tf.stack(crops), augmenter, seed, _STEP_OF_DRAWS)
    )


class Views(typing.NamedTuple):
    """Images, the views of each, and what was drawn for them.

    Attributes:
        images: N images `(H, W, C)` of any size.
        views: The first views, the second views, ...; `(N, S, S, C)` in [0, 1].
        draws: What `collect_draws` returned.
    """

    images: Sequence[np.ndarray]
    views: Sequence[np.ndarray]
    draws: tuple[dict, dict, dict]


def views_of(
    images: Sequence[np.ndarray],
    batch: tf.Tensor,
    augmenter: SimCLRAugmenter,
    seed: int,
    batch_size: int,
) -> Views:
    """Makes the views of the first images of step 0.

    Args:
        images: N images `(H, W, C)` of any size.
        batch: `(N, H, W, C)` or `(N, 2, S, S, C)`: the images as input to the augmenter.
        augmenter: Makes the views.
        seed: The run's seed.
        batch_size: Images per step of the run.
    """
    views = [view.numpy() for view in augmenter(batch, seed=(seed, 0))]
    shapes = [(image.shape[0], image.shape[1]) for image in images]
    return Views(images, views, collect_draws(augmenter, seed, batch_size, shapes))


def save_views(folder: str | os.PathLike, drawn: Views) -> dict[str, pathlib.Path]:
    """Writes the pictures of `draw_views`; returns their paths, `views` and `draws`."""
    folder = pathlib.Path(folder)
    return {
        "views": save_view_pairs(folder / "views.png", drawn.images, *drawn.views),
        "draws": save_draws(folder / "draws.png", *drawn.draws),
    }
