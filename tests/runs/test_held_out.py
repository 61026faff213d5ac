"""What a run holds out: chosen when it begins, never read in pretraining, kept ever after."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
from conftest import SMALL_NETWORK

import simclr_keras as sk
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError, RunFailure
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.run_images import image_sizes, locate_images
from simclr_keras.runs.run_source import run_source, training_parts

pytestmark = pytest.mark.usefixtures("short_resnet")


def _config(run, dataset, **changes):
    settings = {**SMALL_NETWORK, "image_size": 16, "batch_size": 4, "steps": 6, **changes}
    return sk.PretrainConfig(str(dataset), str(run), checkpoint_every=2, **settings)


def _parts(config):
    """(training files, held-out files) of a new run."""
    source, held_out = training_parts(config, RunDirectory(config.run_dir))
    return source.paths, held_out.paths if held_out else None


def _listed(run):
    header, *names = (run / "held_out.csv").read_text().splitlines()
    assert header == "path"
    return names


def _files(folder):
    return sorted(str(file.relative_to(folder)) for file in folder.glob("**/*.png"))


@pytest.fixture
def run(image_folder, tmp_path, untrained_run):
    """A finished run that holds out 3 of 12 images."""
    return untrained_run(tmp_path / "run", image_folder, with_lists=True, batch_size=4)


@pytest.mark.slow
def test_no_held_out_image_is_read_in_pretraining(image_folder, tmp_path):
    config = _config(tmp_path / "run", image_folder, seed=5)
    chosen = sk.load_source(str(image_folder), "test", seed=5).paths
    for path in chosen:  # starts and ends as a PNG does: it is not decoded to check
        (image_folder / path).write_bytes(b"\x89PNG\r\n\x1a\n no image IEND\xaeB`\x82")
    result = sk.pretrain(config)  # three epochs
    assert result.steps == 6 and _listed(tmp_path / "run") == sorted(chosen)
    assert sk.report(sk.ReportConfig(config.run_dir)).curves
    with pytest.raises((InputError, RunFailure), match="cannot be read"):
        sk.pretrain(dataclasses.replace(config, run_dir=str(tmp_path / "all"), hold_out=0.0))


@pytest.mark.slow
def test_a_resumed_run_ends_as_an_uninterrupted_one(image_folder, tmp_path, interrupted_after):
    sk.pretrain(_config(tmp_path / "whole", image_folder))
    config = _config(tmp_path / "run", image_folder)
    with interrupted_after(1):
        sk.pretrain(config)
    held_out = _listed(tmp_path / "run")
    assert sk.pretrain(config).first_step == 2
    assert _listed(tmp_path / "run") == held_out == _listed(tmp_path / "whole")
    networks = (sk.load_encoder(tmp_path / name).get_weights() for name in ("whole", "run"))
    for a, b in zip(*networks):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_two_parts_are_disjoint_and_stratified(image_folder, tmp_path):
    training, held_out = _parts(_config(tmp_path / "run", image_folder))
    assert sorted((*training, *held_out)) == _files(image_folder)
    training, held_out = _parts(_config(tmp_path / "run", image_folder, hold_out=0.5))
    assert [sum(path.startswith(name) for path in held_out) for name in ("cats", "dogs")] == [
        3,
        3,
    ]
    other = _parts(_config(tmp_path / "run", image_folder, hold_out=0.5, seed=1))[1]
    assert set(other) != set(held_out)


def test_images_without_a_label_are_trained_on(image_folder, tmp_path):
    for name in ("cats/00.png", "cats/10.png", "dogs/11.png"):
        (image_folder / name).rename(image_folder / name[5:])
    training, held_out = _parts(_config(tmp_path / "run", image_folder))
    assert {"00.png", "10.png", "11.png"} <= set(training)
    assert len(held_out) == 2  # of nine with a label


def test_of_images_without_any_label_a_share_is_held_out_on_request(image_folder, tmp_path):
    for file in image_folder.glob("*/*.png"):
        file.rename(image_folder / file.name)
    for folder in ("cats", "dogs"):
        (image_folder / folder).rmdir()
    assert _parts(_config(tmp_path / "run", image_folder))[1] is None
    training, held_out = _parts(_config(tmp_path / "run", image_folder, hold_out=0.25))
    assert (len(training), len(held_out)) == (9, 3)


@pytest.mark.slow
def test_nothing_is_held_out_on_request(image_folder, tmp_path):
    config = _config(tmp_path / "run", image_folder, hold_out=0.0, steps=1)
    sk.pretrain(config)
    assert not (tmp_path / "run" / "held_out.csv").exists()
    assert len(json.loads((tmp_path / "run" / "images.json").read_text())) == 12


def test_data_with_a_test_part_is_used_as_before(image_folder, tmp_path):
    folder = tmp_path / "splits"
    shutil.copytree(image_folder, folder / "train")
    shutil.copytree(image_folder, folder / "val")
    directory = RunDirectory(tmp_path / "run")
    for name, images in (("digits", 1437), (str(folder), 12)):
        source, held_out = training_parts(_config(tmp_path / "run", name), directory)
        assert len(source) == images and held_out is None
        for share in (0.0, 0.1):
            with pytest.raises(InputError, match=rf"has a test part.*hold_out={share:g}"):
                training_parts(_config(tmp_path / "run", name, hold_out=share), directory)
    # `train/` alone leaves nothing to test on.
    shutil.rmtree(folder / "val")
    assert len(training_parts(_config(tmp_path / "run", folder), directory)[1]) == 3


def test_too_few_images(image_folder, tmp_path, caplog):
    shutil.rmtree(image_folder / "dogs")
    (image_folder / "dogs").mkdir()
    shutil.copy(image_folder / "cats" / "00.png", image_folder / "dogs")
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        training, held_out = _parts(_config(tmp_path / "run", image_folder))
    assert len(training) == 7 and held_out is None
    assert "Nothing is held out for evaluation: " in caplog.text and "too few" in caplog.text
    with pytest.raises(InputError, match="7 labelled images in 2 classes: too few to hold out"):
        _parts(_config(tmp_path / "run", image_folder, hold_out=0.2))
    with pytest.raises(
        InputError, match=r"`hold_out` must be in \[0, 1\). Received: hold_out=1"
    ):
        _config(tmp_path / "run", image_folder, hold_out=1.0)


def test_a_run_that_was_begun_keeps_its_choice(run, image_folder):
    config = RunDirectory(run).read_config()
    with pytest.raises(InputError, match=r"other settings: hold_out=None \(now 0.5\)"):
        sk.pretrain(dataclasses.replace(config, hold_out=0.5))
    # One that was killed between its two files chooses again.
    (run / "encoder.keras").unlink()
    for file in run.iterdir():
        if file.name != "held_out.csv":
            file.unlink()
    (run / "held_out.csv").write_text("path\ncats/02.png\n")
    source, held_out = training_parts(config, RunDirectory(run))
    RunDirectory(run).begin(config, image_sizes(source), held_out)
    assert len(_listed(run)) == 3


def _measure(run, **data):
    """(training images, test images) of each command; what they measured."""
    training = dict(run=str(run), steps=1, batch_size=4, seed=9)
    evaluated = sk.evaluate(sk.EvaluateConfig(str(run), **data))
    tuned = sk.fine_tune_run(sk.FineTuneConfig(**training, name="a", **data))
    distilled = sk.distill_run(sk.DistillConfig(**training, name="b", **data))
    assert evaluated.train_images == tuned.labels == distilled.images
    assert evaluated.test_images == tuned.test_images == distilled.test_images
    for result in (evaluated, tuned, distilled):
        assert result.seen_in_pretraining is False and result.test_images_seen == 0
    return evaluated


@pytest.mark.slow
def test_later_commands_measure_on_the_list_whatever_was_added(run, image_folder):
    listed = _listed(run)
    for index in range(8):
        shutil.copy(image_folder / "cats" / "02.png", image_folder / "cats" / f"new{index}.png")
    results = _measure(run)
    assert (results.train_images, results.test_images) == (17, 3)
    train, test = (sk.load_run_source(run, split) for split in ("train", "test"))
    assert sorted(test.paths) == listed
    assert sorted((*train.paths, *test.paths)) == _files(image_folder)
    # Neither does the seed matter once the list is there.
    config = dataclasses.replace(RunDirectory(run).read_config(), seed=77)
    assert run_source(config, "test", directory=RunDirectory(run)).paths == test.paths
    # What is measured on other data learns from everything.
    assert len(run_source(config, "train", directory=RunDirectory(run), hold_out=False)) == 20


@pytest.mark.slow
def test_the_list_is_that_of_the_moved_folder_too(run, image_folder, tmp_path):
    before = sk.load_run_source(run, "test").paths
    shutil.move(image_folder, tmp_path / "elsewhere")
    moved = str(tmp_path / "elsewhere")
    assert sk.load_run_source(run, "test", moved).paths == before
    assert _measure(run, dataset=moved).test_images == 3
    # A folder that lacks held-out images is other data.
    (tmp_path / "elsewhere" / before[0]).unlink()
    assert locate_images(RunDirectory(run), moved)[1] == moved


def test_a_missing_image_is_named(run, image_folder):
    missing = _listed(run)[1]
    (image_folder / missing).unlink()
    training = dict(run=str(run), steps=1, batch_size=4)
    for command in (
        lambda: sk.evaluate(sk.EvaluateConfig(str(run))),
        lambda: sk.fine_tune_run(sk.FineTuneConfig(**training)),
        lambda: sk.report(sk.ReportConfig(str(run))),
        lambda: sk.pretrain(RunDirectory(run).read_config()),
        lambda: sk.load_run_source(run, "train"),
    ):
        with pytest.raises(
            InputError, match=rf"lacks 1 of the 3 images .* out: {missing}\. Re"
        ):
            command()


@pytest.mark.slow
def test_data_without_files_is_listed_by_index(tmp_path, monkeypatch, untrained_run):
    draw = np.random.default_rng(0)
    whole = ArraySource(draw.integers(0, 256, (20, 8, 8, 3), "uint8"), np.arange(20) % 2)
    monkeypatch.setattr("simclr_keras.data.datasets.load_tfds", lambda *_: (whole, False))
    monkeypatch.setattr("simclr_keras.data.datasets.tfds_has_test_part", lambda *_: False)
    run = untrained_run(tmp_path / "run", "made", with_lists=True)
    header, *places = (run / "held_out.csv").read_text().split()
    assert header == "index" and len(places) == 4
    assert sk.load_run_source(run, "test").places.tolist() == list(map(int, places))
    results = _measure(run)
    assert (results.train_images, results.test_images) == (16, 4)
    source, held_out = training_parts(RunDirectory(run).read_config(), RunDirectory(run))
    assert sorted((*source.places, *held_out.places)) == list(range(20))


@pytest.mark.slow
def test_a_run_of_an_earlier_version_goes_on_with_all_images(
    image_folder, tmp_path, interrupted_after
):
    config = _config(tmp_path / "run", image_folder, hold_out=0.0)
    with interrupted_after(1):
        sk.pretrain(config)
    file = tmp_path / "run" / "config.json"
    settings = json.loads(file.read_text())
    del settings["hold_out"]
    file.write_text(json.dumps(settings))
    result = sk.pretrain(dataclasses.replace(config, hold_out=None))
    assert result.first_step == 2 and not (tmp_path / "run" / "held_out.csv").exists()
