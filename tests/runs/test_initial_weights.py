"""Runs that start from trained networks."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
from conftest import SMALL_NETWORK
from networks.test_official_checkpoints import Checkpoint

import simclr_keras as sk
from simclr_keras.errors import InputError
from simclr_keras.networks.normalization import replace_batch_norm
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.initial_weights import load_initial_weights, network_settings
from simclr_keras.runs.pretraining import build_model
from simclr_keras.runs.run_source import training_parts, training_source
from simclr_keras.runs.seen import seen_fields

pytestmark = pytest.mark.usefixtures("short_resnet")

DIGITS = {"dataset": "digits", "image_size": 8, "batch_size": 32, "steps": 2}


def _pretrain(path, **settings):
    head = {"projection_dim": 16, "projection_hidden_dim": 24}
    run = {**SMALL_NETWORK, **DIGITS, **head, "run_dir": str(path), **settings}
    sk.pretrain(sk.PretrainConfig(**run))
    return RunDirectory(path)


@pytest.fixture(scope="module")
def run(short_resnet, tmp_path_factory):
    """A finished run: its batch norms' statistics are no longer those of a new network."""
    return _pretrain(tmp_path_factory.mktemp("runs") / "first")


def _start(weights, **settings):
    """(config, encoder, projection head) of a new run with these weights, before its first step."""
    run = {"dataset": "digits", "run_dir": "unused", "batch_size": 32, "seed": 5, **settings}
    config = sk.PretrainConfig.from_sources(weights=str(weights), **run)
    source = training_source(config, RunDirectory(config.run_dir))
    model = build_model(config, source, load_initial_weights(config.weights))
    return config, model.encoder, model.projection_head


def _assert_same(network, expected, **tolerance):
    pairs = list(zip(network.get_weights(), expected.get_weights(), strict=True))
    assert len(pairs) > 2
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, **{"rtol": 0, "atol": 0, **tolerance})


def test_a_run_gives_its_networks_and_their_settings(run):
    config, encoder, head = _start(run.path)
    begun = run.read_config()
    named = ["encoder", "width_multiplier", "small_image_stem", "image_size"]
    named += ["projection_dim", "projection_hidden_dim"]
    for name in named:
        assert getattr(config, name) == getattr(begun, name)
        assert config.sources[name] == f"weights {run.path}"
    assert config.temperature == sk.PretrainConfig.temperature and config.epochs is None
    _assert_same(encoder, run.load_encoder())
    _assert_same(head, run.load_projection_head())


def test_what_is_given_or_in_a_file_wins_over_the_weights_and_they_over_a_preset(run, tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"projection_layers": 3}))
    common = {"dataset": "digits", "run_dir": "r", "weights": str(run.path)}
    config = sk.PretrainConfig.from_sources("small-images", str(file), image_size=16, **common)
    assert (config.image_size, config.projection_layers) == (16, 3)
    assert config.width_multiplier == 0.125 and config.optimizer == "adamw"
    file.write_text(json.dumps({"weights": str(run.path)}))
    del common["weights"]
    assert sk.PretrainConfig.from_sources(config=file, **common).width_multiplier == 0.125


def test_the_head_starts_anew_if_it_has_another_shape(run):
    _, encoder, head = _start(run.path, projection_dim=8)
    _assert_same(encoder, run.load_encoder())
    assert all(np.all(norm.moving_mean == 0) for norm in head.norm_layers)


@pytest.mark.slow
@pytest.mark.parametrize("dtype, error", [("float32", 0), ("bfloat16", 2**-8)])
def test_an_export_gives_its_encoder(run, tmp_path, dtype, error):
    exported = sk.export(
        sk.ExportConfig(str(run.path), output=str(tmp_path / "saved"), weights_dtype=dtype)
    )
    for place in (exported.path, exported.path.parent):
        config, encoder, head = _start(place)
        assert (config.image_size, config.small_image_stem) == (8, True)
        _assert_same(encoder, run.load_encoder(), rtol=error)
        assert all(np.all(norm.moving_mean == 0) for norm in head.norm_layers)


def test_an_export_of_any_encoder_is_known_by_its_name_only(tmp_path):
    encoder = sk.build_encoder("simclr_resnet18", 8, width_multiplier=0.125)
    path = sk.export_encoder(encoder, tmp_path / "saved", image_size=8)
    assert network_settings(str(path)) == {"encoder": "simclr_resnet18", "image_size": 8}
    _, ours, _ = _start(path, width_multiplier=0.125)
    _assert_same(ours, encoder)


@pytest.mark.slow
def test_a_classifier_is_not_an_encoder(run, tmp_path):
    tuned = sk.fine_tune(
        run.load_encoder(), np.zeros((8, 8, 8, 3), "uint8"), [0, 1] * 4, steps=1
    )
    path = sk.export_classifier(tuned.classifier, tmp_path / "c", ("a", "b"), image_size=8)
    with pytest.raises(InputError, match="is a classifier, which has no embeddings"):
        _start(path)


@pytest.mark.slow
def test_a_keras_file_gives_its_network(tmp_path):
    import keras

    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(8, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
        ]
    )
    network.layers[1].set_weights([np.full(8, value, "float32") for value in (1, 2, 3, 4)])
    path = tmp_path / "mine.keras"
    network.save(path)
    config, encoder, _ = _start(path, image_size=8)
    assert config.encoder == str(path)
    _assert_same(encoder, network)
    # A run of it ends without the weights: the architecture is enough.
    result = sk.pretrain(
        sk.PretrainConfig.from_sources(
            **{**DIGITS, "run_dir": str(tmp_path / "run")}, weights=str(path)
        )
    )
    assert result.steps == 2
    trained = RunDirectory(tmp_path / "run")
    assert trained.load_encoder().output_shape == (None, 8)
    path.unlink()
    settings = network_settings(str(trained.path))
    assert settings["encoder"] == str(trained.encoder_file)
    config, encoder, _ = _start(trained.path)
    _assert_same(encoder, trained.load_encoder())


def test_a_checkpoint_of_the_original_release(tmp_path):
    checkpoint = Checkpoint(18, ratio=0.0625, small=False).write(tmp_path / "official")
    assert network_settings(str(checkpoint)) == {
        "encoder": "simclr_resnet18",
        "width_multiplier": 0.125,
        "small_image_stem": False,
        "selective_kernel": True,
        "projection_dim": 16,
        "projection_layers": 3,
        "projection_hidden_dim": None,
    }
    of_preset = sk.PretrainConfig.from_sources(
        "small-cpu", dataset="digits", run_dir="r", weights=str(checkpoint)
    )
    assert of_preset.projection_hidden_dim is None
    _, encoder, head = _start(checkpoint, image_size=8)
    official = sk.load_official_checkpoint(checkpoint)
    _assert_same(encoder, official.encoder)
    _assert_same(head, official.projection_head)


@pytest.mark.slow
def test_group_norm_has_weights_of_its_own_and_frozen_batch_norm_those_of_batch_norm(
    run, tmp_path
):
    grouped = _pretrain(tmp_path / "group", normalization="group")
    config, encoder, _ = _start(grouped.path)
    assert config.normalization == "group"
    _assert_same(encoder, grouped.load_encoder())
    config, encoder, _ = _start(run.path, normalization="frozen")
    _assert_same(encoder, replace_batch_norm(run.load_encoder(), "frozen"))
    config, encoder, _ = _start(run.path, normalization="group")
    _assert_same(encoder, replace_batch_norm(run.load_encoder(), "group"))


def test_weights_that_do_not_fit_are_refused_and_nothing_is_written(run, tmp_path):
    path = tmp_path / "new"
    with pytest.raises(InputError, match="not those of encoder=simclr_resnet18: weight 1 of"):
        sk.pretrain(
            sk.PretrainConfig(
                **{**SMALL_NETWORK, "width_multiplier": 0.25, **DIGITS},
                run_dir=str(path),
                weights=str(run.path),
            )
        )
    with pytest.raises(InputError, match="There is nothing at that path. Received: weights=no"):
        sk.pretrain(
            sk.PretrainConfig.from_sources(**DIGITS, run_dir=str(path), weights="nothing")
        )
    assert not path.exists()
    unfinished = tmp_path / "unfinished"
    shutil.copytree(run.path, unfinished)
    (unfinished / "encoder.keras").unlink()
    with pytest.raises(InputError, match="is not finished"):
        _start(unfinished)


@pytest.mark.slow
def test_a_run_that_goes_on_needs_its_weights_no_more(run, tmp_path):
    weights = tmp_path / "weights"
    shutil.copytree(run.path, weights)
    settings = {**SMALL_NETWORK, **DIGITS, "projection_dim": 16, "weights": str(weights)}
    whole = _pretrain(tmp_path / "whole", **{**settings, "steps": 3}).load_encoder()
    parts = _pretrain(tmp_path / "parts", **settings)
    shutil.rmtree(weights)
    with pytest.raises(InputError, match="nothing at that path"):
        _pretrain(tmp_path / "other", **settings)
    _pretrain(parts.path, **{**settings, "steps": 3})
    assert RunDirectory(parts.path).read_total_steps(1) == 3
    assert parts.load_encoder().count_params() == whole.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("head", [16, 8])
def test_the_summary_says_what_was_loaded(run, tmp_path, caplog, head):
    settings = {**DIGITS, "run_dir": str(tmp_path / "run"), "projection_dim": head}
    config = sk.PretrainConfig.from_sources(**settings, weights=str(run.path))
    with caplog.at_level(logging.INFO, logger="simclr_keras"):
        sk.pretrain(config)
    rows = dict(x.split(maxsplit=1) for x in caplog.text.splitlines() if " " in x.strip())
    origin = f"the run {run.path} on digits"
    assert rows["Weights"] == (
        f"encoder and projection head of {origin}"
        if head == 16
        else f"encoder of {origin}; the projection head starts from random weights"
    )
    assert f"weights {run.path}" in rows["Settings"]  # where its architecture comes from


@pytest.mark.parametrize("hold_out, expected", [(0.0, 3), (None, 0), (0.5, None)])
def test_images_that_the_weights_have_seen_count_as_seen(
    image_folder, tmp_path, untrained_run, hold_out, expected
):
    """The second run holds three images out; the first may have trained on them."""
    common = dict(with_lists=True, batch_size=4)
    first = untrained_run(tmp_path / "first", image_folder, hold_out=hold_out, **common)
    second = untrained_run(tmp_path / "second", image_folder, weights=str(first), **common)
    directory = RunDirectory(second)
    config = directory.read_config()
    _, held_out = training_parts(config, directory)
    seen = seen_fields(directory, config, held_out, config.dataset)["test_images_seen"]
    trained_on = set(json.loads((first / "images.json").read_text()))
    assert seen == len(trained_on & set(held_out.paths))
    assert expected is None or seen == expected
    official = dataclasses.replace(config, weights="elsewhere")
    unknown = seen_fields(directory, official, held_out, config.dataset)
    assert unknown["seen_in_pretraining"] is None
