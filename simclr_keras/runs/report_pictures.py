"""`draw_pictures`: the part of a run's page that needs images; kept, as later commands need not
read them again."""

import typing
from collections.abc import Callable, Sequence

import keras
import numpy as np

from ..data.bad_images import BadImages
from ..data.datasets import evaluation_dataset
from ..data.file_source import FileSource
from ..data.order import step_indices
from ..data.shard_source import ShardSource
from ..data.sources import ImageSource
from ..evaluation.features import extract_features
from ..evaluation.nearest import nearest
from ..plots.features_map import map_features
from ..plots.histogram import counts_of
from ..plots.thumbnails import thumbnail_uri
from ..plots.views import Views, views_of
from ..seeds import generator
from .directory import RunDirectory
from .monitored_images import held_out_part
from .pretrain_config import PretrainConfig
from .pretraining import build_augmenter, training_batches

MOST_IMAGES = 1500  # among which neighbours are searched
_LEAST_IMAGES = 200
_MOST_POINTS = 800  # of the map: half of the images take a quarter of the time
_ROWS, _NEIGHBOURS = 8, 8
_VIEWS = 10
_STREAM = 4  # of random numbers: not those of the order or of the monitor
_AT_ONCE = 256
_SHARE, _PASSES_PER_VIEW = 0.02, 3  # of the work of a run; see `monitored_images.py`


def pictures_at_end(
    config: PretrainConfig,
    parts: tuple[ImageSource, ImageSource | None],
    encoder: keras.Model,
    steps: int,
) -> dict[str, typing.Any]:
    """Draws the pictures of a run that has just ended, for at most a fiftieth of its work.

    Args:
        config: The run's settings.
        parts: See `draw_pictures`.
        encoder: Its encoder.
        steps: Steps of the whole run.
    """
    count = _affordable_images(config, steps)
    return draw_pictures(config, parts, first_views(config, parts[0]), encoder, count)


def missing_pictures(
    config: PretrainConfig,
    directory: RunDirectory,
    parts: tuple[ImageSource, ImageSource | None],
    steps: int,
) -> Callable[[], dict[str, typing.Any]] | None:
    """What draws the pictures of a finished run that has none, as when its disk was full.

    The arguments are those of `pictures_at_end`, and the run's directory.
    """
    if directory.pictures_file.exists():
        return None
    return lambda: pictures_at_end(config, parts, directory.load_encoder(), steps)


def _affordable_images(config: PretrainConfig, steps: int) -> int:
    work = _PASSES_PER_VIEW * config.views * config.batch_size * steps
    found = min(MOST_IMAGES, int(_SHARE * work))
    return found if found >= _LEAST_IMAGES else 0


def first_views(config: PretrainConfig, source: ImageSource) -> Views:
    """The first images that a run trains on, with their views of step 0."""
    augmenter, rows = build_augmenter(config), min(_VIEWS, config.batch_size)
    order = step_indices(
        length=len(source),
        batch_size=config.batch_size,
        seed=config.seed,
        first_step=0,
        num_steps=1,
    )
    _, index = next(iter(order))
    bad_images = BadImages(len(source), config.max_bad_fraction)
    while found := source.find_unreadable(index[:rows]):  # what replaces one may be bad too
        source = bad_images.replaced(source, found)
    batch = next(iter(training_batches(config, source, augmenter, 0, 1, rows=rows)))
    batch = batch[0] if config.probe else batch
    images = [source.load(place).numpy() for place in index[:rows]]
    return views_of(images, batch, augmenter, config.seed, config.batch_size)


def draw_pictures(
    config: PretrainConfig,
    parts: tuple[ImageSource, ImageSource | None],
    views: Views,
    encoder: keras.Model | None,
    count: int = MOST_IMAGES,
) -> dict[str, typing.Any]:
    """Draws all that needs images, as JSON takes it.

    Args:
        config: The run's settings.
        parts: The images that it trains on, and those that it holds out; `None` for none.
        views: What `first_views` returned.
        encoder: Its encoder; `None` to draw nothing that depends on it.
        count: Images to encode; held-out ones if they are at hand.

    Returns:
        `views`: pictures of the images, of their first views, ...; `draws`: `histograms` (see
        `counts_of`) and `shares`; and with an encoder `sample`, `neighbours` (in each row the
        image itself first) and `map`.
    """
    drawn, intended, shares = views.draws
    pictures: dict[str, typing.Any] = {
        "views": [
            [thumbnail_uri(each) for each in row] for row in (views.images, *views.views)
        ],
        "draws": {
            "histograms": {
                name: counts_of(values, intended.get(name))
                for name, values in drawn.items()
                if len(values)
            },
            "shares": {name: [float(x) for x in share] for name, share in shares.items()},
        },
    }
    if encoder is None or not count:
        return pictures
    source, held_out = parts
    held_out = held_out_part(config, held_out)
    images = source if held_out is None else held_out
    chosen = generator(config.seed, _STREAM).permutation(len(images))[:count]
    bad = images.find_unreadable(chosen)
    images = images.subset(np.setdiff1d(chosen, list(bad)))
    if not len(images):
        return pictures
    features, labels = extract_features(
        encoder, evaluation_dataset(images, config.image_size, _AT_ONCE)
    )
    near, cosines = nearest(features, features, k=_NEIGHBOURS + 1)
    rows = [
        [(int(j), float(c)) for j, c in zip(places, found) if j != i][:_NEIGHBOURS]
        for i, (places, found) in enumerate(zip(near, cosines))
    ]
    sample: dict[str, typing.Any] = {
        "part": "training_images" if held_out is None else "held_out",
        "images": len(images),
        "class_names": images.class_names,
    }
    labelled = [i for i, row in enumerate(rows) if labels[i] >= 0 and row]
    if labelled:
        same = [labels[i] == labels[rows[i][0][0]] for i in labelled]
        sample["same_class"] = float(np.mean(same))
    points = generator(config.seed, _STREAM, 1).permutation(len(images))[:_MOST_POINTS]
    return {
        **pictures,
        "sample": sample,
        "neighbours": _pictured(
            [[(i, 1.0), *rows[i]] for i in _queries(labels)], images, labels, config.image_size
        ),
        "map": {
            "places": map_features(features[points]).round(2).tolist(),
            "names": [_name_of(images, int(i)) for i in points],
            "labels": labels[points].tolist(),
        },
    }


def _queries(labels: np.ndarray) -> list[int]:
    """Images to show with their neighbours: of as many classes as possible."""
    _, first = np.unique(labels, return_index=True)
    spread = np.linspace(0, len(first) - 1, min(_ROWS, len(first))).astype(int)
    chosen = first[np.unique(spread)].tolist()
    others = [i for i in range(len(labels)) if i not in chosen]
    return (chosen + others)[:_ROWS]


def _pictured(
    rows: Sequence[Sequence[tuple[int, float]]],
    images: ImageSource,
    labels: np.ndarray,
    image_size: int,
) -> list[list[dict]]:
    shown = sorted({i for row in rows for i, _ in row})
    batches = evaluation_dataset(images.subset(shown), image_size, _AT_ONCE)
    pixels = np.concatenate([batch.numpy() for batch, _ in batches])
    pictures = dict(zip(shown, map(thumbnail_uri, pixels)))
    return [
        [
            {
                "name": _name_of(images, i),
                "label": int(labels[i]),
                "cosine": round(cosine, 4),
                "picture": pictures[i],
            }
            for i, cosine in row
        ]
        for row in rows
    ]


def _name_of(images: ImageSource, index: int) -> str:
    if isinstance(images, FileSource):
        return images.paths[index]
    if isinstance(images, ShardSource):
        return images.name_of(index)
    return f"image {images.places[index]}"
