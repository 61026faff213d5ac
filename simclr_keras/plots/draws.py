"""`collect_draws`: the parameters that an augmenter draws, and those it should draw."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..views.augmenter import SimCLRAugmenter

_DRAWS = 20_000  # but not more than in
_STEPS = 200
_AREA = "crop area (redrawn if too large)"
_FACTORS = ("brightness", "contrast", "saturation", "hue")


def collect_draws(
    augmenter: SimCLRAugmenter, seed: int, batch_size: int, shapes: Sequence[tuple[int, int]]
) -> tuple[dict, dict, dict]:
    """Collects the parameters drawn in the first steps of a run, for `save_draws`.

    Args:
        augmenter: The run's augmentations.
        seed: The run's seed.
        batch_size: Images per step.
        shapes: (height, width) of some images; the steps cycle through them.

    Returns:
        `(drawn, intended, shares)`, the arguments of `figures.save_draws`.
    """
    steps = max(1, min(_STEPS, _DRAWS // (2 * batch_size)))
    values: dict[str, list] = {}
    for step in range(steps):
        height, width = shapes[step % len(shapes)]
        positions = tf.range(batch_size, dtype=tf.int64)
        for parameters in augmenter.draw((seed, step), positions, height, width):
            found = {name: value.numpy() for name, value in parameters._asdict().items()}
            boxes = found["boxes"]
            found.update(
                {
                    _AREA: boxes[:, 2] * boxes[:, 3] / (height * width),
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
    drawn.update({name: found[name][jitter] for name in (*_FACTORS, "order")})
    drawn["sigma"] = found["sigma"][blurred]
    limits = policy.jitter_limits
    intended = {
        _AREA: policy.crop_area,
        "log of crop aspect": tuple(np.log(policy.crop_aspect)),
        **{n: (max(0.0, 1 - x), 1 + x) for n, x in zip(_FACTORS, limits[:3]) if x},
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
    added = {
        "vertical\nflip": (found["vertical_flip"].mean(), policy.vertical_flip_probability),
        "turn": ((found["quarter_turns"] > 0).mean(), 0.75 * policy.quarter_turns),
        "solarize": (found["solarize"].mean(), policy.solarize_probability),
    }
    shares.update({name: share for name, share in added.items() if share[1]})
    return drawn, intended, shares
