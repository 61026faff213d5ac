"""Every command on a dataset that does not fit in memory: a simulated ImageNet."""

import csv
import logging

import numpy as np
import pytest
from conftest import SMALL_NETWORK
from prepared import IMAGENET, write_imagenet

from simclr_keras import EmbedConfig, PretrainConfig, embed, export_encoder, pretrain
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.errors import InputError
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.config import EvaluateConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.distill import distill_run
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.run_source import training_source

pytestmark = pytest.mark.usefixtures("short_resnet", "keep_nothing")
TRAIN, VALIDATION = 60, 18


@pytest.fixture
def keep_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("simclr_keras.data.tfds._ENCODED_BYTES", 0)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    write_imagenet(folder, train=TRAIN, validation=VALIDATION, test=4)
    return str(folder)


@pytest.fixture
def settings(data_dir):
    return {
        "dataset": IMAGENET,
        "data_dir": data_dir,
        **SMALL_NETWORK,
        "image_size": 8,
        "batch_size": 8,
        "steps": 20,
        "checkpoint_every": 5,
    }


@pytest.mark.slow
def test_a_run_resumes_bit_exactly(tmp_path, settings, interrupted_after, caplog):
    whole = PretrainConfig(run_dir=str(tmp_path / "whole"), **settings)
    source = training_source(whole, RunDirectory(whole.run_dir))
    assert type(source) is ShardSource and len(source) == TRAIN
    with caplog.at_level(logging.INFO):
        assert pretrain(whole).steps == 20
    parts = PretrainConfig(run_dir=str(tmp_path / "parts"), **settings)
    with interrupted_after(2):
        pretrain(parts)
    assert pretrain(parts).first_step == 10
    weights = [RunDirectory(run.run_dir).load_encoder().get_weights() for run in (whole, parts)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum("Indexing" in line for line in caplog.messages) <= 1


@pytest.mark.slow
def test_batches_are_those_of_a_dataset_in_memory(tmp_path, settings, monkeypatch):
    weights = []
    for size in (0, 2**30):
        monkeypatch.setattr("simclr_keras.data.tfds._ENCODED_BYTES", size)
        run = str(tmp_path / str(size))
        pretrain(PretrainConfig(run_dir=run, **{**settings, "steps": 3}))
        weights.append(RunDirectory(run).load_encoder().get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_the_commands_on_a_run(tmp_path, settings, untrained_run):
    run = str(untrained_run(tmp_path / "run", with_lists=True, **settings))
    found = evaluate(EvaluateConfig(run))
    assert found.test_images == VALIDATION and found.test_images_seen == 0
    training = dict(run=run, steps=2, batch_size=4)
    tuned = fine_tune_run(FineTuneConfig(**training, label_fraction=0.1))
    with open(tmp_path / "run" / tuned.classifier / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    # The dataset's classes are n01440764, ...; example k of the writer has the label k modulo 3.
    source = training_source(PretrainConfig(run_dir=run, **settings), RunDirectory(run))
    for row in rows:
        index = int(row["index"])
        assert row["label"] == source.class_names[source.labels[index]]
    listed = str(tmp_path / "run" / tuned.classifier / "labels.csv")
    again = fine_tune_run(FineTuneConfig(**training, labels=listed, name="again"))
    assert again.labels == tuned.labels
    assert (
        distill_run(DistillConfig(**training, teacher=tuned.classifier.split("/")[-1])).steps
        == 2
    )
    export_encoder(RunDirectory(run).load_encoder(), tmp_path / "model", image_size=8)
    embedded = embed(
        EmbedConfig(
            model=str(tmp_path / "model"),
            images=IMAGENET,
            output=str(tmp_path / "e.npz"),
            split="test",
            data_dir=settings["data_dir"],
        )
    )
    assert embedded.count == VALIDATION


@pytest.mark.slow
def test_a_held_out_part(tmp_path, settings, caplog):
    """Of a dataset with a training split only, whose damaged records are skipped."""
    folder = write_imagenet(tmp_path / "data", train=TRAIN)
    shard = sorted(folder.glob("*-train.*"))[2]
    content = bytearray(shard.read_bytes())
    content[300] ^= 255
    shard.write_bytes(content)
    settings = {**settings, "data_dir": str(tmp_path / "data"), "steps": 2}
    run = tmp_path / "run"
    with pytest.raises(InputError, match=r"1 of 60 images.*00002-of-00009, record 0 \(bad"):
        pretrain(PretrainConfig(run_dir=str(run), **settings))
    assert not run.exists()
    config = PretrainConfig(run_dir=str(run), skip_unreadable=True, **settings)
    pretrain(config)
    with (run / "held_out.csv").open() as file:
        held_out = {int(row["index"]) for row in csv.DictReader(file)}
    source = training_source(config, RunDirectory(run))
    skipped = set(range(TRAIN)) - held_out - set(source.places.tolist())
    assert len(held_out) == 12 and len(skipped) == 1 and len(source) == 47
    assert evaluate(EvaluateConfig(str(run))).test_images == 12
