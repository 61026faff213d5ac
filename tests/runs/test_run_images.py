"""Runs whose images or directories are named in another way, or were moved."""

import dataclasses
import json
import logging
import shutil

import numpy as np
import pytest
from conftest import SMALL_NETWORK

import simclr_keras as sk
from simclr_keras import PretrainConfig, pretrain
from simclr_keras.data.file_source import FileSource
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.data.sources import EncodedSource
from simclr_keras.errors import InputError
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig, ReportConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.distill import distill_run
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.report import report
from simclr_keras.runs.run_images import (
    check_images,
    image_sizes,
    images_digest,
    locate_images,
)
from simclr_keras.runs.run_source import training_parts

pytestmark = pytest.mark.usefixtures("short_resnet")


def _config(run, dataset, **changes):
    settings = {**SMALL_NETWORK, "image_size": 16, "batch_size": 4, "steps": 4, **changes}
    return PretrainConfig(str(dataset), str(run), checkpoint_every=2, **settings)


@pytest.fixture
def begun(image_folder, tmp_path, monkeypatch):
    """A run begun in `tmp_path` on its folder `images`, without any training."""
    monkeypatch.chdir(tmp_path)
    directory, config = RunDirectory("run"), _config("run", "images")
    source, held_out = training_parts(config, directory)
    directory.begin(config, image_sizes(source), held_out)
    return RunDirectory(tmp_path / "run")


def _sizes(directory, config):
    return image_sizes(training_parts(config, directory)[0])


@pytest.mark.slow
def test_a_run_goes_on_after_its_images_and_its_directory_were_moved(
    image_folder, tmp_path, monkeypatch, interrupted_after
):
    monkeypatch.chdir(tmp_path)
    with interrupted_after(1):
        pretrain(_config("run", "images"))
    (tmp_path / "elsewhere").mkdir()
    shutil.move("run", "elsewhere/moved")
    shutil.move("images", "elsewhere/photos")
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = pretrain(_config("moved", "./photos/"))
    assert (result.first_step, result.steps) == (2, 4)

    # The new place is remembered, also from another folder, until the images are moved again.
    monkeypatch.chdir(tmp_path)
    run, other = "elsewhere/moved", str(tmp_path / "again")
    results = evaluate(EvaluateConfig(run))
    tuned = fine_tune_run(FineTuneConfig(run=run, steps=1, name="a"))
    shutil.move("elsewhere/photos", other)
    commands = {
        "evaluate": lambda **data: evaluate(EvaluateConfig(run, **data)),
        "fine-tune": lambda **data: fine_tune_run(
            FineTuneConfig(run=run, steps=1, name="a", **data)
        ),
        "distill": lambda **data: distill_run(DistillConfig(run=run, steps=1, **data)),
        "report": lambda **data: report(ReportConfig(run, **data)),
    }
    for command in commands.values():
        with pytest.raises(InputError, match="no longer in .*photos. Name the .* `dataset`"):
            command()
    repeated = {name: command(dataset=other) for name, command in commands.items()}
    assert repeated["evaluate"].knn_accuracy == results.knn_accuracy
    assert repeated["fine-tune"] == tuned  # not trained again
    assert repeated["distill"].dataset == other
    assert repeated["report"].curves

    # Repeating the command of a finished run makes the run remember.
    assert pretrain(_config(run, "again")).loss is None
    assert evaluate(EvaluateConfig(run)).dataset == other


@pytest.mark.parametrize("spelling", ["images", "./images/", "images/../images", "{}/images"])
def test_another_spelling_of_the_same_folder_continues_a_run(begun, tmp_path, spelling):
    begun.check(_config("run", spelling.format(tmp_path)))
    # So it did before runs kept the list of their images.
    begun.images_file.unlink()
    begun.check(_config("run", spelling.format(tmp_path)))


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_data_of_another_kind_does_not(begun, dataset):
    with pytest.raises(InputError, match=rf"other settings: dataset=images \(now {dataset}\)"):
        begun.check(_config("run", dataset))


@pytest.mark.slow
def test_other_images_do_not_continue_a_run(begun, tmp_path):
    shutil.copytree("images", "more")
    pretrain_config = _config("run", "more")
    check_images(begun, _sizes(begun, pretrain_config), "more")
    shutil.copy("more/cats/00.png", "more/dogs/new.png")
    shutil.copy("more/cats/00.png", "more/cats/02.png")
    for name in ("cats/04", "cats/06", "cats/08", "dogs/01"):
        (tmp_path / "more" / f"{name}.png").unlink()
    said = (
        r"more does not hold the images that the run in .*run was begun with: 1 added "
        r"\(dogs/new.png\), 4 missing \(cats/04.png, cats/06.png, cats/08.png and 1 more\), 1 changed "
        r"\(cats/02.png\)\. Restore them"
    )
    for command in (
        lambda: pretrain(pretrain_config),
        lambda: report(ReportConfig(str(begun.path), "more")),
    ):
        with pytest.raises(InputError, match=said):
            command()
    assert not begun.checkpoints.exists()


@pytest.mark.slow
def test_other_data_is_used_as_such(begun, tmp_path, caplog):
    shutil.copytree("images", "fewer")
    (tmp_path / "fewer" / "cats" / "00.png").unlink()
    with caplog.at_level(logging.INFO, "simclr_keras"):
        for name in ("digits", "fewer"):
            config, other = locate_images(begun, name)
            assert (config.dataset, other) == ("images", name)
        assert not caplog.text
        shutil.rmtree("images")
        assert locate_images(begun, "fewer")[1] == "fewer"
    assert "fewer is other data" in caplog.text and "1 missing (cats/00.png)" in caplog.text


def test_a_project_that_was_moved_as_a_whole(begun, tmp_path, monkeypatch):
    """The folder is not where it was, but what the run was told leads to it again."""
    (tmp_path / "project").mkdir()
    for name in ("run", "images"):
        shutil.move(name, f"project/{name}")
    monkeypatch.chdir(tmp_path / "project")
    config, other = locate_images(RunDirectory("run"))
    assert (config.dataset, other) == ("images", None)


def test_a_run_is_read_from_anywhere(begun, tmp_path, monkeypatch):
    (tmp_path / "other" / "images").mkdir(parents=True)  # a namesake
    monkeypatch.chdir(tmp_path / "other")
    assert locate_images(begun)[0].dataset == str(tmp_path / "images")
    assert begun.read_config().dataset == "images"  # as it was told


def test_runs_of_earlier_versions(begun, tmp_path):
    begun.images_file.unlink()
    begun.held_out_file.unlink()
    settings = json.loads(begun.config_file.read_text())
    del settings["dataset_folder"], settings["hold_out"]
    begun.config_file.write_text(json.dumps(settings))
    assert locate_images(begun) == (_config("run", "images"), None)
    begun.check(_config("run", str(tmp_path / "images")))
    (tmp_path / "images" / "cats" / "00.png").unlink()  # cannot be noticed
    check_images(begun, _sizes(begun, _config("run", "images")), "images")
    begun.begin(_config("run", "./images"))
    assert begun.read_folder() == str(tmp_path / "images")
    assert begun.read_config() == _config("run", "images")


def test_data_by_name_has_no_files(tmp_path):
    directory, config = RunDirectory(tmp_path / "run"), _config("run", "digits")
    directory.begin(config, _sizes(directory, config))
    assert not directory.images_file.exists() and directory.read_folder() is None
    assert locate_images(directory) == locate_images(directory, "digits") == (config, None)
    assert locate_images(directory, "cifar10") == (config, "cifar10")
    directory.check(dataclasses.replace(config))


def test_a_digest_tells_images_apart(image_folder, tmp_path):
    def files(names=("a", "b"), sizes=(1, 2), labels=(0, 1)):
        return FileSource(names, labels, ("x", "y"), sizes=np.array(sizes))

    def shards(names=("/d/a", "/d/b"), shard=(0, 1), offset=(5, 6), length=(7, 8)):
        return ShardSource(names, shard, offset, length)

    def in_memory(labels=(0, 1)):
        return EncodedSource([b"1", b"2"], labels)

    sources = [
        *(files(), files(("a", "c")), files(("ab", "")), files(sizes=(1, 3))),
        *(files(labels=(0, 0)), files(("a", "b", "c"), (1, 2, 3), (0, 1, 0)).subset([0, 2])),
        *(shards(), shards(("/d/a", "/d/c")), shards(shard=(0, 0)), shards(offset=(5, 7))),
        *(shards(length=(7, 9)), in_memory(), in_memory((0, 0))),
    ]
    digests = [images_digest(source) for source in sources]
    assert len(set(digests)) == len(digests) and all(0 <= d < 2**63 for d in digests)
    # Workers may reach the same files by another path.
    assert images_digest(shards(("/e/a", "/e/b"))) == images_digest(shards())
    whole = sk.load_source(str(image_folder), "all")
    again = sk.load_source(str(image_folder.parent / "images" / ".." / "images"), "all")
    assert images_digest(whole) == images_digest(again)
