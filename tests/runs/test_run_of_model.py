"""What starts from an export as it would from the run that it was made of."""

import dataclasses
import json

import numpy as np
import pytest
from typer.testing import CliRunner

import simclr_keras as sk
from simclr_keras.cli.main import app
from simclr_keras.errors import InputError
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.trained_encoder import published_settings, trained_encoder

TRAINING = {"labels_per_class": 2, "steps": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def run(untrained_run, tmp_path_factory):
    settings = {"crop_area_min": 0.5, "flip": False}
    return untrained_run(tmp_path_factory.mktemp("of") / "run", with_lists=True, **settings)


@pytest.fixture(scope="module")
def model(run):
    return sk.export(sk.ExportConfig(str(run), output=str(run.parent / "model"))).path.parent


@pytest.mark.slow
def test_an_export_is_evaluated_as_its_run_is(run, model):
    of_run = sk.evaluate(sk.EvaluateConfig(str(run)))
    written = sorted(run.parent.rglob("*"))
    for path in (str(model), str(run / "encoder.keras")):
        size = 8 if path.endswith(".keras") else None
        found = sk.evaluate(sk.EvaluateConfig(path, dataset="digits", image_size=size))
        assert found.knn_accuracy == of_run.knn_accuracy
        assert abs(found.linear_accuracy - of_run.linear_accuracy) < 0.01
    assert sorted(run.parent.rglob("*")) == written  # an export is not changed
    with pytest.raises(InputError, match=f"a labelled dataset .*Received: {model}"):
        sk.evaluate(sk.EvaluateConfig(str(model)))
    with pytest.raises(InputError, match="images of any size: .* `image_size`"):
        sk.evaluate(sk.EvaluateConfig(str(run / "encoder.keras"), dataset="digits"))


def test_an_export_tells_nothing_of_the_machine(run, tmp_path):
    config = RunDirectory(run).read_config()
    (tmp_path / "photos").mkdir()
    config = dataclasses.replace(
        config, dataset=str(tmp_path / "photos"), data_dir=str(tmp_path), weights="imagenet"
    )
    settings = published_settings(config)
    assert str(tmp_path) not in json.dumps(settings) and str(run) not in json.dumps(settings)
    assert (settings["dataset"], settings["weights"]) == ("photos", "imagenet")
    assert settings["crop_area_min"] == config.crop_area_min


def test_a_network_that_only_its_export_knows(tiny_encoder, tmp_path):
    path = sk.export_encoder(tiny_encoder, tmp_path / "model", image_size=16)
    trained = trained_encoder(sk.EvaluateConfig(str(path)))
    images = np.random.default_rng(0).random((3, 16, 16, 3), "float32")
    features = np.asarray(trained.encoder(images))
    np.testing.assert_allclose(features, tiny_encoder(images), rtol=1e-5, atol=1e-6)
    assert trained.image_size == 16 and trained.directory is None


@pytest.mark.slow
def test_fine_tuning_starts_from_an_export(run, model, tmp_path):
    config = sk.FineTuneConfig(
        run=str(model), dataset="digits", run_dir=str(tmp_path / "run"), **TRAINING
    )
    result = sk.fine_tune_run(config)
    command = ["fine-tune", str(model), "--dataset", "digits", "--run-dir", config.run_dir]
    options = [f"--{k.replace('_', '-')}={v}" for k, v in TRAINING.items()]
    assert (
        CliRunner()
        .invoke(app, [*command, *options])
        .stdout.startswith(f"{config.run_dir}/fine-tuned/2-per-class-seed0: 20 labels")
    )
    assert (result.classifier, result.labels, result.head_layers) == (
        "fine-tuned/2-per-class-seed0",
        20,
        0,  # an export has no projection head
    )
    made = RunDirectory(tmp_path / "run")
    begun = made.read_config()
    assert (begun.steps, begun.weights, begun.crop_area_min) == (0, str(model), 0.5)
    assert begun.image_size == 8 and not begun.flip
    weights, expected = (
        RunDirectory(path).load_encoder().get_weights() for path in (made.path, run)
    )
    assert all(np.array_equal(a, b) for a, b in zip(weights, expected, strict=True))
    # The classifier is the run's: the same command repeats nothing, others start from it.
    assert sk.fine_tune_run(config) == result
    settings = dataclasses.replace(config, run=str(made.path), run_dir=None, dataset=None)
    assert sk.fine_tune_run(settings) == result
    assert sk.evaluate(sk.EvaluateConfig(str(made.path))).test_images == 360
    with pytest.raises(InputError, match="no projection_head.keras.*`head_layers=0`"):
        sk.fine_tune_run(dataclasses.replace(settings, head_layers=1, name="other"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, "is a trained model, not a run: .*dataset=None, run_dir=None"),
        ({"run_dir": "there"}, "is a trained model, not a run: .*run_dir=there"),
    ],
)
def test_a_model_needs_images_and_a_run_directory(model, changes, message):
    with pytest.raises(InputError, match=message):
        sk.fine_tune_run(sk.FineTuneConfig(run=str(model), **changes, **TRAINING))


def test_a_run_has_its_directory(run, tmp_path):
    for path in (run, tmp_path / "nothing"):
        with pytest.raises(InputError, match="`run_dir` is for a trained model"):
            sk.fine_tune_run(sk.FineTuneConfig(run=str(path), run_dir="there", **TRAINING))
    with pytest.raises(InputError, match="There is no run in"):
        sk.fine_tune_run(sk.FineTuneConfig(run=str(tmp_path / "nothing"), **TRAINING))


@pytest.mark.slow
def test_a_run_of_no_step_can_be_raised(run, tmp_path):
    with pytest.raises(InputError, match="name them with `weights`. Received: steps=0"):
        sk.PretrainConfig("digits", "there", steps=0)
    config = sk.PretrainConfig.from_sources(
        dataset="digits", run_dir=str(tmp_path / "run"), weights=str(run), steps=0
    )
    config = dataclasses.replace(config, batch_size=16)
    assert sk.pretrain(config).steps == 0 and sk.pretrain(config).steps == 0  # as it is
    made = RunDirectory(tmp_path / "run")
    before = made.load_encoder().get_weights()
    for mine, theirs in zip(
        made.load_projection_head().get_weights(),
        RunDirectory(run).load_projection_head().get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    result = sk.pretrain(dataclasses.replace(config, steps=2))
    assert (result.first_step, result.steps) == (0, 2)
    after = made.load_encoder().get_weights()
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert sk.evaluate(sk.EvaluateConfig(str(made.path))).test_images == 360
