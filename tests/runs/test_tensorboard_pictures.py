"""When pictures are written, and how large they may be. What a run writes: test_monitor.py."""

import types

import keras
import numpy as np
import tensorflow as tf

from simclr_keras.runs import tensorboard_pictures as module
from simclr_keras.runs.monitored_images import MonitoredImages, Sizes
from simclr_keras.runs.tensorboard_pictures import TensorBoardPictures


class _Monitor:
    images = MonitoredImages(
        "held_out",
        Sizes(6),
        np.zeros((12, 4, 4, 3), "uint8"),
        np.zeros(0, int),
        np.zeros(0, int),
        0.0,
    )

    def features(self, model):
        return np.eye(12, 5)


def _pictures(folder, total_steps, monitor=None):
    drawn = []

    def views_at(step):
        drawn.append(step)
        return [np.full((6, 4, 4, 3), 40 * (1 + number), "uint8") for number in range(2)]

    pictures = TensorBoardPictures(folder, monitor or _Monitor(), views_at, total_steps, ())
    encoder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="wide")])
    model = types.SimpleNamespace(encoder=encoder, projection_head=encoder, steps_made=0)
    pictures.set_model(model)
    return pictures, model, drawn


def _run(pictures, model, first, last, interval):
    model.steps_made = first
    pictures.on_train_begin()
    for model.steps_made in range(first + interval, last + 1, interval):
        pictures.on_epoch_end(0)


def test_about_ten_times_in_a_run_and_never_soon_after(tmp_path):
    pictures, model, drawn = _pictures(tmp_path / "long", total_steps=10_000)
    _run(pictures, model, 0, 10_000, interval=500)
    assert drawn == list(range(0, 10_001, 1000))
    pictures, model, drawn = _pictures(tmp_path / "short", total_steps=120)
    _run(pictures, model, 0, 120, interval=10)
    assert drawn == [0, 50, 100]


def test_a_resumed_run_does_not_begin_again(tmp_path):
    pictures, model, drawn = _pictures(tmp_path, total_steps=1000)
    _run(pictures, model, 500, 800, interval=100)
    pictures.on_train_begin()  # the next `fit` of the same run
    assert drawn == [600, 700, 800]


def test_nothing_is_shown_of_a_run_that_is_not_measured(tmp_path):
    pictures, model, drawn = _pictures(
        tmp_path / "none", 1000, types.SimpleNamespace(images=None)
    )
    _run(pictures, model, 0, 1000, interval=100)
    pictures.conclude(model)
    assert not drawn and not (tmp_path / "none").exists()


def test_views_are_below_one_another(tmp_path):
    pictures, model, _ = _pictures(tmp_path, total_steps=100)
    _run(pictures, model, 0, 0, interval=10)
    (file,) = tmp_path.glob("events*")
    values = {
        value.tag: value.tensor
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert len(values) == 3  # views, features, and the only kernel
    width, height, png = values["views"].string_val
    assert (width, height) == (b"24", b"8")
    assert tf.io.decode_png(png).numpy()[:, 0, 0].tolist() == [40] * 4 + [80] * 4


def test_without_labels_the_projector_shows_views(tmp_path):
    pictures, model, _ = _pictures(tmp_path, total_steps=100)
    pictures.conclude(model)
    assert np.loadtxt(tmp_path / "features.tsv").shape == (6, 5)
    assert (tmp_path / "metadata.tsv").read_text().split() == list("012345")


def test_many_large_kernels_are_sampled(monkeypatch):
    monkeypatch.setattr(module, "_KERNELS", 3)
    monkeypatch.setattr(module, "_NUMBERS", 5)
    network = keras.Sequential([keras.Input((4,)), *[keras.layers.Dense(4) for _ in range(6)]])
    found = module._kernels(network)
    assert [name[:3] for name, _ in found] in (["000", "002", "005"], ["000", "003", "005"])
    np.testing.assert_array_equal(found[0][1], network.layers[0].kernel.numpy().ravel()[::4])
