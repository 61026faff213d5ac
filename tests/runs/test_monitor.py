"""Measures of a run while it trains: right, harmless and the same after a resume."""

import logging
import types

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from conftest import SMALL_NETWORK, TWO_DEVICES

from simclr_keras import (
    NTXentLoss,
    PretrainConfig,
    ProjectionHead,
    SimCLR,
    SimCLRAugmenter,
    evaluation_dataset,
    extract_features,
    load_source,
    pretrain,
)
from simclr_keras.objective.nt_xent import collapsed_loss
from simclr_keras.runs import monitor as module
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.monitor import Monitor, encoding, measure
from simclr_keras.runs.monitored_images import MonitoredImages, Sizes
from simclr_keras.training.callbacks import RunHistory
from simclr_keras.training.diagnosis import Circumstances, Diagnosis
from simclr_keras.training.measurement import Measurement
from simclr_keras.training.run_rows import RunRows, read_history

pytestmark = pytest.mark.usefixtures("short_resnet")


def _config(path, **changes):
    run = {"dataset": "digits", "run_dir": str(path), "image_size": 8, "batch_size": 64}
    length = {"steps": 24, "checkpoint_every": 10, "optimizer": "adamw"}
    return PretrainConfig(**{**run, **SMALL_NETWORK, **length, **changes})


def _weights(path):
    directory = RunDirectory(path)
    networks = directory.load_encoder(), directory.load_projection_head()
    return [weight for network in networks for weight in network.get_weights()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, short_resnet):
    """A run of 24 steps that is measured at 0, 10, 20 and 24; and its result."""
    path = tmp_path_factory.mktemp("monitored") / "run"
    return path, pretrain(_config(path))


@pytest.mark.slow
def test_what_a_run_writes_and_returns(whole):
    path, result = whole
    rows = read_history(path / "monitor.csv")
    assert [row["step"] for row in rows] == ["0", "10", "20", "24"]
    assert {name for name in rows[0] if name != "step"} == {
        f"held_out_{name}" for name in result.last_measurement.numbers
    }
    assert Measurement.from_row(rows[0]) == result.first_measurement
    assert Measurement.from_row(rows[-1]) == result.last_measurement
    assert result.first_measurement.step == 0 and result.last_measurement.step == 24
    assert 0 < result.last_measurement.knn_accuracy <= 1
    assert result.findings == []
    assert result.to_dict()["last_measurement"]["part"] == "held_out"
    assert list((path / "tensorboard" / "held_out").glob("events*"))
    assert "held_out_retrieval" not in read_history(path / "history.csv")[0]


@pytest.mark.slow
def test_a_finished_run_returns_its_measurements(whole):
    path, result = whole
    again = pretrain(_config(path))
    assert again.first_measurement == result.first_measurement
    assert again.last_measurement == result.last_measurement
    assert again.findings is None


@pytest.mark.slow
def test_measuring_changes_nothing(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "load_monitored", lambda *arguments: None)
    result = pretrain(_config(tmp_path / "run"))
    assert result.first_measurement is None and not (tmp_path / "run" / "monitor.csv").exists()
    for with_monitor, without in zip(
        _weights(whole[0]), _weights(tmp_path / "run"), strict=True
    ):
        np.testing.assert_array_equal(with_monitor, without)


class Recorder(keras.callbacks.Callback):
    """Notes what a logger is told, and disturbs whatever it can reach."""

    def __init__(self):
        super().__init__()
        self.calls, self.logs = [], []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(epoch)
        self.logs.append(dict(logs))
        logs.clear()
        np.random.random()
        tf.random.uniform([])

    def on_train_end(self, logs=None):
        self.calls.append("end")


@pytest.mark.slow
@pytest.mark.parametrize("step", [10, 20])
def test_a_resumed_run_ends_with_the_same_files(whole, tmp_path, interrupted_after, step):
    """With callbacks, which are told of one run, not of its parts."""
    config, recorder = _config(tmp_path / "run"), Recorder()
    with interrupted_after(step // 10):
        pretrain(config, [recorder])
    assert recorder.calls == ["begin", *range(step // 10)]
    monitor = tmp_path / "run" / "monitor.csv"
    with monitor.open("a") as file:  # a crash between row and checkpoint
        file.write(monitor.read_text().splitlines()[-1].replace(f"{step},", f"{step + 10},", 1))
        file.write("\n")
    resumed = Recorder()
    result = pretrain(config, [resumed])
    assert resumed.calls == ["begin", *range(step // 10, 3), "end"]
    logs = [*recorder.logs, *resumed.logs]
    assert [row["step"] for row in logs] == [10, 20, 24]
    assert logs[-1]["held_out_knn_accuracy"] == result.last_measurement.knn_accuracy
    assert monitor.read_bytes() == (whole[0] / "monitor.csv").read_bytes()
    for name in ("loss", "contrastive_accuracy"):
        rows = [read_history(path / "history.csv") for path in (whole[0], tmp_path / "run")]
        columns = [[row[name] for row in each] for each in rows]
        assert columns[0] == columns[1] and len(columns[0]) == 3
        assert [row[name] for row in logs] == [float(value) for value in columns[0]]
    for one, other in zip(_weights(whole[0]), _weights(tmp_path / "run"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_what_tensorboard_shows_of_a_run(whole):
    folder = whole[0] / "tensorboard" / "pictures"
    (file,) = folder.glob("events*")
    shown = [
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert {step for step, _ in shown} == {0}  # a run of 24 steps is not worth a second time
    assert {"views", "features"} <= {tag for _, tag in shown} and len(shown) > 6
    features = np.loadtxt(folder / "features.tsv", delimiter="\t")
    table = [line.split("\t") for line in (folder / "metadata.tsv").read_text().splitlines()]
    assert table[0] == ["label", "part"] and len(table) == len(features) + 1
    assert {part for _, part in table[1:]} == {"held out", "training"}
    assert {label for label, _ in table[1:]} <= set("0123456789")
    # Of the encoder as it was saved: the first row is that of the first held-out image.
    encoder = RunDirectory(whole[0]).load_encoder()
    test, _ = extract_features(
        encoder, evaluation_dataset(load_source("digits", "test"), 8, 360)
    )
    near = np.abs(test - features[0]).max(axis=1)
    assert near.min() < 1e-3 and (near < 1e-3).sum() == 1
    assert load_source("digits", "test").labels[near.argmin()] == int(table[1][0])


@pytest.mark.slow
def test_the_log_shows_few_numbers_and_compares_with_the_start(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        pretrain(_config(tmp_path / "run", steps=10))
    text = "\n".join(record.getMessage() for record in caplog.records)
    assert "Measured every 10 steps, for 2.0% of the work: views of 19 held-out images" in text
    assert "held out knn accuracy" in text and "held out effective rank" in text
    assert "Before the first step -> now: kNN" in text and "(19 held-out images)." in text


@pytest.mark.slow
def test_too_little_work_is_said(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        result = pretrain(_config(tmp_path / "run", steps=2))
    assert result.last_measurement is None and result.findings == []
    assert any("Nothing is measured while training" in r.getMessage() for r in caplog.records)


@pytest.mark.slow
def test_broken_test_images_do_not_stop_pretraining(rng, tmp_path, caplog):
    for part in ("train", "test"):
        (tmp_path / "data" / part / "a").mkdir(parents=True)
    for index in range(64):
        png = tf.io.encode_png(rng.integers(0, 256, (8, 8, 3), "uint8")).numpy()
        (tmp_path / "data" / "train" / "a" / f"{index}.png").write_bytes(png)
    (tmp_path / "data" / "test" / "a" / "broken.png").write_bytes(png[:-9])
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        result = pretrain(_config(tmp_path / "run", dataset=str(tmp_path / "data"), steps=2))
    assert result.last_measurement is None and result.steps == 2
    assert "Nothing is measured while training: " in caplog.text and "broken.png" in caplog.text


def _images(rng, pairs=16, queries=12, neighbours=20):
    pixels = rng.integers(0, 256, (2 * pairs + queries + neighbours, 16, 16, 3), "uint8")
    labels = rng.integers(0, 3, queries), np.arange(neighbours) % 3
    return MonitoredImages("held_out", Sizes(pairs, queries, neighbours), pixels, *labels, 0.0)


@pytest.mark.parametrize("decoupled", [False, True])
def test_measures_match_the_references(rng, decoupled):
    images = _images(rng)
    features = rng.normal(0.2, size=(len(images.pixels), 10)).astype("float32")
    projections = rng.normal(size=(len(images.pixels), 6)).astype("float32")
    model = types.SimpleNamespace(contrastive_loss=NTXentLoss(0.3, decoupled), steps_made=7)
    found = measure(images, model, lambda pixels: (features, projections))
    z1, z2, h1, h2 = projections[:16], projections[16:32], features[:16], features[16:32]
    loss = reference.nt_xent(z1, z2, 0.3, decoupled).mean()
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.contrastive_accuracy == pytest.approx(reference.contrastive_accuracy(z1, z2))
    assert found.retrieval == pytest.approx(reference.contrastive_accuracy(h1, h2))
    assert found.alignment == pytest.approx(reference.alignment(h1, h2))
    assert found.uniformity == pytest.approx(reference.uniformity(h1))
    assert found.effective_rank == pytest.approx(reference.rank_me(h1))
    predicted = reference.knn(features[44:], images.neighbour_labels, features[32:44], 20, 0.1)
    assert found.knn_accuracy == pytest.approx(np.mean(predicted == images.query_labels))
    assert (found.step, found.images, found.part) == (7, 16, "held_out")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_encoding_is_inference_and_leaves_the_model_alone(policy, rng, tiny_encoder):
    keras.mixed_precision.set_global_policy(policy)
    encoder = keras.models.clone_model(tiny_encoder)
    model = SimCLR(encoder, ProjectionHead(4), SimCLRAugmenter(16, blur=False))
    model.compile("sgd")
    model.fit(rng.integers(0, 256, (8, 16, 16, 3), "uint8"), batch_size=8, verbose=0)
    variables = [model.step, *tf.nest.flatten(model.checkpointed()["networks"])]
    before = [variable.numpy() for variable in variables]
    images = rng.integers(
        0, 256, (300, 16, 16, 3), "uint8"
    )  # two passes, the last one filled up
    features, projections = encoding(model)(images)
    for old, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())
    tolerance = 1e-5 if policy == "float32" else 0.02
    np.testing.assert_allclose(features, model.predict(images, verbose=0), atol=tolerance)
    assert features.dtype == projections.dtype == "float32" and projections.shape == (300, 4)
    expected = model.projection_head(encoder(images / np.float32(255), training=False))
    np.testing.assert_allclose(projections, tf.cast(expected, tf.float32), atol=10 * tolerance)


TWO_REPLICAS = (
    TWO_DEVICES
    + """
from simclr_keras.runs.monitor import encoding

images = np.random.default_rng(0).integers(0, 256, (21, 8, 8, 3), "uint8")
found = []
for count, strategy in strategies.items():
    keras.utils.set_random_seed(0)
    with strategy.scope():
        encoder = sk.build_encoder("simclr_resnet18", 8, width_multiplier=0.125)
        model = sk.SimCLR(encoder, sk.ProjectionHead(8), sk.SimCLRAugmenter(8, blur=False))
        model.compile(keras.optimizers.SGD(0.1))
    found.append(encoding(model)(images))
for one, two in zip(*found):
    np.testing.assert_allclose(one, two, atol=1e-5)
print(json.dumps([part.shape for part in found[1]]))
"""
)


@pytest.mark.slow
def test_two_replicas_encode_as_one_does(run_python):
    assert run_python(TWO_REPLICAS).splitlines()[-1] == "[[21, 64], [21, 8]]"


@pytest.mark.slow
def test_an_encoder_with_constant_features_is_reported(caplog, rng, tmp_path):
    inputs = keras.Input((16, 16, 3))
    constant = keras.layers.Rescaling(0.0, 1.0)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = SimCLR(
        keras.Model(inputs, constant), ProjectionHead(8), SimCLRAugmenter(16, blur=False)
    )
    model.compile(keras.optimizers.SGD(0.01))
    history, rows = (RunRows(tmp_path / f"{name}.csv", tmp_path) for name in "ab")
    run = Circumstances(
        8, collapsed_loss(8), 0.1, 0.01, warmup_steps=0, total_steps=4, patience=2
    )
    callbacks = [
        RunHistory(history, 8, 1, lambda step: 0.01),
        Monitor(None, rows, history, Diagnosis(run)),
    ]
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        trained = model.fit(images, batch_size=8, epochs=4, verbose=0, callbacks=callbacks)
    np.testing.assert_allclose(trained.history["loss"], np.log(15), atol=1e-5)
    said = [r.getMessage()[:31] for r in caplog.records if r.name == "simclr_keras"]
    assert said == ["Step 3: Nothing learned in 2 st"]
