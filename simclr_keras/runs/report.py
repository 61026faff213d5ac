"""`report`: the pictures of a run."""

import math
import os

import numpy as np
import tensorflow as tf

from ..data.order import step_indices
from ..report.figures import save_curves, save_draws, save_view_pairs
from ..training.callbacks import read_history
from ..views.augmenter import SimCLRAugmenter
from .config import PretrainConfig
from .directory import RunDirectory
from .pretrain import build_augmenter, training_batches, training_source

_IMAGES = 10
_DRAWS = 20_000


def report(run_dir: str | os.PathLike) -> dict[str, str]:
    """Draws what a run was trained on and what it logged, into `RUN/report`.

    - `views.png`: images of the first step and their two views, as trained on;
    - `draws.png`: a histogram of every parameter that was drawn, with what was intended;
    - `curves.png`: what `history.csv` holds, once there is any.

    Args:
        run_dir: A run directory; the run need not be finished.

    Returns:
        Name and path of each picture.

    Raises:
        InputError: If there is no run, or its data is gone.

    Example:
        >>> from simclr_keras.runs.report import report
        >>> report("runs/cifar10")["views"]  # doctest: +SKIP
        'runs/cifar10/report/views.png'
    """
    directory = RunDirectory(run_dir)
    config = directory.read_config()
    source, augmenter = training_source(config), build_augmenter(config)
    rows = min(_IMAGES, config.batch_size)
    batches = training_batches(config, source, augmenter, 0, 1, rows=rows)
    batch = next(iter(batches))
    batch = batch[0] if config.probe else batch
    view_1, view_2 = augmenter(batch, seed=(config.seed, 0))
    order = step_indices(
        length=len(source),
        batch_size=config.batch_size,
        seed=config.seed,
        first_step=0,
        num_steps=1,
    )
    _, index = next(iter(order))
    images = [source.load(place).numpy() for place in index[:rows]]
    paths = {
        "views": save_view_pairs(
            directory.report / "views.png", images, view_1.numpy(), view_2.numpy()
        ),
        "draws": save_draws(
            directory.report / "draws.png",
            *_draws(augmenter, config, [image.shape[:2] for image in images]),
        ),
    }
    history = read_history(directory.history_file)
    if history:
        collapsed = math.log(2 * config.batch_size - 1)
        paths["curves"] = save_curves(directory.report / "curves.png", history, collapsed)
    return {name: str(path) for name, path in paths.items()}


def _draws(augmenter: SimCLRAugmenter, config: PretrainConfig, shapes: list):
    """Arguments of `save_draws`: what the first steps draw for images of these shapes."""
    steps = max(1, _DRAWS // (2 * config.batch_size))
    values: dict[str, list] = {}
    for step in range(steps):
        height, width = shapes[step % len(shapes)]
        positions = tf.range(config.batch_size, dtype=tf.int64)
        for drawn in augmenter.draw((config.seed, step), positions, height, width):
            boxes = drawn.boxes.numpy()
            found = {name: value.numpy() for name, value in drawn._asdict().items()}
            found.update(
                {
                    "crop area (again if it does not fit)": boxes[:, 2]
                    * boxes[:, 3]
                    / (height * width),
                    "log of crop aspect": np.log(boxes[:, 3] / boxes[:, 2]),
                    "place from top": boxes[:, 0] / np.maximum(1, height - boxes[:, 2]),
                    "place from left": boxes[:, 1] / np.maximum(1, width - boxes[:, 3]),
                }
            )
            for name, value in found.items():
                values.setdefault(name, []).append(value)
    found = {name: np.concatenate(value) for name, value in values.items()}
    policy, jitter, blurred = augmenter.policy, found["jitter"], found["sigma"] > 0
    drawn = {name: v for name, v in found.items() if name.startswith(("crop", "log", "place"))}
    factors = ("brightness", "contrast", "saturation", "hue")
    drawn.update({name: found[name][jitter] for name in (*factors, "order")})
    drawn["sigma"] = found["sigma"][blurred]
    limits = policy.jitter_limits
    intended = {
        "crop area (again if it does not fit)": policy.crop_area,
        "log of crop aspect": tuple(np.log(policy.crop_aspect)),
        **{n: (max(0.0, 1 - x), 1 + x) for n, x in zip(factors[:3], limits) if x},
        "sigma": policy.blur_sigma,
    }
    if limits[3]:
        intended["hue"] = (-limits[3], limits[3])
    shares = {
        "flip": (found["flip"].mean(), policy.flip_probability),
        "jitter": (jitter.mean(), policy.jitter_probability if policy.jitters else 0.0),
        "gray": (found["grayscale"].mean(), policy.grayscale_probability),
        "blur": (blurred.mean(), policy.blur_probability),
    }
    return drawn, intended, shares
