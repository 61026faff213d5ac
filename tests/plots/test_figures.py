import numpy as np
import tensorflow as tf

from simclr_keras.plots.figures import (
    save_curves,
    save_draws,
    save_learning_curve,
    save_view_pairs,
)


def _picture(path):
    return tf.io.decode_png(tf.io.read_file(str(path)), channels=3).numpy()


def test_pairs_of_images_of_many_sizes(tmp_path, rng):
    images = [rng.random((8 + i, 12, 3)) for i in range(3)]
    views = rng.random((2, 3, 8, 8, 3))
    path = save_view_pairs(tmp_path / "new" / "views.png", images, *views)
    assert _picture(path).std() > 20


def test_gray_images_are_drawn_gray(tmp_path):
    image = np.full((1, 8, 8, 1), 0.5)
    picture = _picture(save_view_pairs(tmp_path / "v.png", image, image, image))
    assert (picture.max(axis=-1) == picture.min(axis=-1)).mean() > 0.99


def test_a_histogram_follows_what_was_drawn(tmp_path, rng):
    shares = {"flip": (0.5, 0.5)}
    pictures = [
        _picture(save_draws(tmp_path / "d.png", drawn, {"hue": (0, 1)}, shares))
        for drawn in (
            {"hue": rng.random(1000), "order": np.arange(24)},
            {"hue": rng.random(1000) ** 4, "order": np.arange(24)},
            {"hue": np.array([]), "order": np.array([], int)},
        )
    ]
    assert (pictures[0] != pictures[1]).any() and (pictures[0] != pictures[2]).any()


def test_curves_of_a_history(tmp_path):
    history = [
        {"step": str(s), "epoch": "0.1", "loss": str(5.0 - s), "learning_rate": "0.1"}
        for s in (1, 2)
    ]
    assert _picture(save_curves(tmp_path / "c.png", history, 5.5)).std() > 5


def test_learning_curves_show_mean_deviation_and_linear_evaluation(tmp_path):
    def picture(name, mean, deviation, linear):
        rows = [
            {"labels_per_class": n, "mean": mean, "deviation": deviation} for n in (1, 20, 140)
        ]
        return _picture(save_learning_curve(tmp_path / name, {"SimCLR": rows}, linear, 1400))

    first = picture("a.png", 0.5, 0.0, None)
    others = [
        picture("b.png", 0.4, 0.0, None),
        picture("c.png", 0.5, 0.2, None),
        picture("d.png", 0.5, 0.0, 0.9),
    ]
    assert all((first.shape != other.shape) or (first != other).any() for other in others)
