"""Results say whether pretraining saw the images that they were measured on."""

import json
import logging
import shutil

import numpy as np
import pytest

import simclr_keras as sk
from simclr_keras.cli.classifiers import fine_tune as fine_tune_command
from simclr_keras.cli.evaluate import evaluate as evaluate_command
from simclr_keras.data.sources import ArraySource
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.measured_images import seen_warning
from simclr_keras.runs.seen import seen_fields

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture
def run(image_folder, tmp_path, untrained_run):
    """A finished run that trained on all 12 images."""
    options = dict(with_lists=True, batch_size=4, hold_out=0.0)
    return untrained_run(tmp_path / "run", image_folder, **options)


def _seen(run, folder=None):
    """How many images of a folder the run saw; by default of its own test part."""
    config = RunDirectory(run).read_config()
    test = sk.load_source(str(folder or config.dataset), "test", hold_out=folder is None)
    name = str(folder or config.dataset)
    return seen_fields(RunDirectory(run), config, test, name)["test_images_seen"]


def test_the_warning():
    assert seen_warning(None, 400) is seen_warning(0, 400) is None
    assert seen_warning(400, 400).startswith("Pretraining saw all 400 test images: ")
    assert seen_warning(360, 400).startswith("Pretraining saw 360 of the 400 test images: ")


@pytest.mark.slow
def test_it_stands_beside_every_number(run, capsys, caplog):
    said = "Pretraining saw all 3 test images"
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        evaluate_command(None, run=str(run), json=False)
        assert caplog.text.count(said) == 1
        fine_tune_command(None, run=str(run), steps=1, batch_size=4, name="a", json=False)
        assert caplog.text.count(said) == 2
    assert capsys.readouterr().out.count(said) == 2
    distilled = sk.distill_run(sk.DistillConfig(run=str(run), steps=1, batch_size=4, name="b"))
    assert distilled.seen_in_pretraining is True and said in distilled.warning
    results = [entry["result"] for entry in json.loads((run / "results.json").read_text())]
    results += [
        json.loads((run / file).read_text())
        for file in ("evaluation.json", "fine-tuned/a/result.json")
    ]
    assert len(results) == 5
    for result in results:
        assert result["seen_in_pretraining"] is True and result["test_images_seen"] == 3


@pytest.mark.slow
def test_without_the_weights_of_the_run_nothing_was_seen(run):
    training = dict(run=str(run), steps=1, batch_size=4)
    scratch = sk.fine_tune_run(sk.FineTuneConfig(**training, from_scratch=True, name="s"))
    students = {
        student: sk.distill_run(sk.DistillConfig(**training, student=student, teacher="s"))
        for student in ("teacher", "pretrained")
    }
    for result in (scratch, students["teacher"]):
        assert result.seen_in_pretraining is False and result.warning is None
    assert students["pretrained"].seen_in_pretraining is True


@pytest.mark.slow
def test_runs_of_earlier_versions(image_folder, tmp_path, untrained_run, run):
    """Without a list of images they trained on all of them, as far as one can know."""
    assert _seen(untrained_run(tmp_path / "old", image_folder)) == 3
    file = run / "config.json"
    settings = json.loads(file.read_text())
    del settings["hold_out"]
    file.write_text(json.dumps(settings))
    assert _seen(run) == 3
    training = dict(run=str(run), steps=1, batch_size=4, name="a")
    tuned = sk.fine_tune_run(sk.FineTuneConfig(**training))
    file = run / tuned.classifier / "result.json"
    before = json.loads(file.read_text())
    del before["seen_in_pretraining"], before["test_images_seen"]
    file.write_text(json.dumps(before))
    again = sk.fine_tune_run(sk.FineTuneConfig(**training))
    assert again.seen_in_pretraining is None and again.test_accuracy == tuned.test_accuracy


def test_only_some_were_seen(run, image_folder):
    """The fifth of a folder to which images were added."""
    draw = np.random.default_rng(0)
    for index in range(28):
        content = (image_folder / "cats" / "00.png").read_bytes()
        content += draw.bytes(9) + b"IEND\xaeB`\x82"
        (image_folder / ("cats", "dogs")[index % 2] / f"new{index:02}.png").write_bytes(content)
    old = json.loads((run / "images.json").read_text())
    test = sk.load_source(str(image_folder), "test")
    expected = len(old.keys() & set(test.paths))
    assert 0 < expected < len(test) == 8
    assert _seen(run) == expected
    result = sk.evaluate(sk.EvaluateConfig(str(run)))
    assert result.seen_in_pretraining is True and f"saw {expected} of the 8" in result.warning


def test_images_of_another_folder(run, image_folder, tmp_path):
    (tmp_path / "link").symlink_to(image_folder)
    shutil.copytree(image_folder, tmp_path / "copy")
    other = tmp_path / "other"
    shutil.copytree(image_folder, other)
    for file in other.glob("*/*.png"):  # of the same names and sizes
        content = bytearray(file.read_bytes())
        content[20] ^= 1
        file.write_bytes(content)
    assert [_seen(run, tmp_path / name) for name in ("link", "copy")] == [12, 12]
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "cats").symlink_to(image_folder / "cats")
    assert _seen(run, tmp_path / "some") == 6
    assert _seen(run, other) is None
    shutil.copy(image_folder / "cats" / "00.png", other / "dogs")
    assert _seen(run, other) == 1
    fields = {"test_images_seen": None, "seen_in_pretraining": None}
    config = RunDirectory(run).read_config()
    source = sk.load_source("digits", "test")
    assert seen_fields(RunDirectory(run), config, source, "digits") == fields
    assert seen_fields(None, config, source, "digits") == fields  # an official checkpoint
    assert seen_fields(RunDirectory(run), config, None, config.dataset) == fields


@pytest.mark.slow
def test_the_own_folder_beside_other_training_images(run, image_folder, tmp_path):
    """`evaluate --dataset OTHER --eval-dataset OWN`: nothing is held out."""
    shutil.copytree(image_folder, tmp_path / "more")
    shutil.copy(image_folder / "cats" / "00.png", tmp_path / "more" / "cats" / "99.png")
    data = dict(dataset=str(tmp_path / "more"), eval_dataset=str(image_folder))
    assert sk.evaluate(sk.EvaluateConfig(str(run), **data)).test_images_seen == 12


def test_images_that_became_a_test_part_later(run, image_folder):
    """Moved from CLASS/ to train/CLASS/ and test/CLASS/."""
    for number, file in enumerate(sorted(image_folder.glob("*/*.png"))):
        split = "test" if number % 3 == 0 else "train"
        folder = image_folder / split / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
    for name in ("cats", "dogs"):
        (image_folder / name).rmdir()
    assert _seen(run) == 4


def test_the_splits_of_a_folder(image_folder, tmp_path, untrained_run):
    folder = tmp_path / "splits"
    for split in ("train", "test"):
        shutil.copytree(image_folder, folder / split)
    run = untrained_run(tmp_path / "split_run", folder, with_lists=True)
    assert _seen(run) == 12  # copies
    for file in (folder / "test").glob("*/*.png"):
        file.write_bytes(file.read_bytes()[:-12] + b"0123456789" + file.read_bytes()[-12:])
    assert _seen(run) == 0


def test_data_by_name(tmp_path, monkeypatch, untrained_run):
    assert _seen(untrained_run(tmp_path / "digits")) == 0
    images = np.zeros((20, 8, 8, 3), "uint8")
    whole = ArraySource(images, np.arange(20) % 2)
    for name, has_test_part in (("split", True), ("whole", False)):
        for function, result in (
            ("load_tfds", (whole, has_test_part)),
            ("tfds_has_test_part", has_test_part),
        ):
            monkeypatch.setattr(
                f"simclr_keras.data.datasets.{function}", lambda *_, result=result: result
            )
        run = untrained_run(tmp_path / name, "made")
        assert _seen(run) == (0 if has_test_part else 4)
