"""Odd files of every kind, and what each part of the package does with them."""

import json
import logging
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from zoo import HIDDEN, IGNORED, READ, REFUSED, encode, make_zoo

import simclr_keras as sk
from simclr_keras.classifiers.labels import read_labels
from simclr_keras.data.datasets import numbered
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.unreadable import why_unreadable
from simclr_keras.embeddings.file import read_info
from simclr_keras.runs import pretrain as pretrain_module
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.run_source import training_parts


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """The folder, and what is in it by its expectation."""
    folder = tmp_path_factory.mktemp("zoo") / "zoo"
    made = make_zoo(folder)
    assert len(made) > 150 or os.name != "posix"
    return folder, made


@pytest.fixture(scope="module")
def source(zoo):
    return sk.load_source(str(zoo[0]), "all", skip_unreadable=True)


def _names(made, *expected):
    return {odd.name for odd in made if odd.expected in expected}


def test_the_reason_is_said_in_a_few_words(zoo):
    folder, made = zoo
    for odd in made:
        if odd.expected != IGNORED:
            reason = why_unreadable(str(folder / odd.name))
            assert (reason is None) == (odd.expected == READ), (odd.name, reason)
            assert odd.reason in (reason or "") and len(reason or "") < 200, odd.name


def test_loading_leaves_out_what_is_damaged_at_its_ends(zoo, source):
    assert set(source.paths) == _names(zoo[1], READ, HIDDEN)
    named = {path.split("/")[0] for path in source.paths}
    assert set(source.class_names) == named
    with pytest.raises(sk.InputError, match=f"{len(_names(zoo[1], REFUSED))} of ") as refused:
        sk.load_source(str(zoo[0]), "all")
    assert str(refused.value).isprintable()


@pytest.mark.slow
def test_training_and_evaluation_and_serving_read_the_same(zoo, source):
    """Crops as in training; the dataset of evaluation; the graph of `serving_bytes`."""
    readable = _names(zoo[1], READ)
    augmenter = sk.SimCLRAugmenter(8)
    cutter = sk.CropCutter.suited_to(source, augmenter, 0)
    drawn = cutter.draw(tf.constant(0, tf.int64), tf.range(len(source), dtype=tf.int64))
    cut = tf.function(lambda content, row: cutter.cut(content, row))
    served = tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])
    for index, name in enumerate(source.paths):
        content = source.read(index)
        if name in readable:
            assert cut(content, drawn[index]).shape == (2, 8, 8, 3), name
            np.testing.assert_array_equal(served(content), source.load(index), name)
        else:
            for read in (lambda: cut(content, drawn[index]), lambda: served(content)):  # noqa: B023
                with pytest.raises(tf.errors.InvalidArgumentError):
                    read()
    batches = sk.evaluation_dataset(numbered(source), 8, 16, skip_unreadable=True)
    read = np.concatenate([index.numpy() for _, index in batches])
    assert {source.paths[index] for index in read} == readable


def test_check_data_names_them_and_opens_no_pipe(zoo, tmp_path):
    folder, made = zoo
    before = sorted((p.name, p.lstat().st_mtime_ns) for p in folder.rglob("*"))
    page = tmp_path / "page.html"
    result = sk.check_data(sk.CheckDataConfig(str(folder), output=str(page)))
    found = {}
    for finding in result.findings:
        for name in finding.names:
            found.setdefault(name, set()).add(finding.kind)
    for odd in made:
        kinds = found.pop(odd.name, set())
        assert odd.kind in kinds if odd.kind else not kinds, (odd.name, kinds)
    assert found == {"single": {"single-image-class"}}
    assert sorted((p.name, p.lstat().st_mtime_ns) for p in folder.rglob("*")) == before
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<img src=x" not in text
    assert all(character.isprintable() or character == "\n" for character in text)
    assert json.loads(json.dumps(result.to_dict()))["images"] == len(
        _names(made, READ, REFUSED, HIDDEN)
    )


@pytest.mark.slow
def test_embed_leaves_out_and_names_the_others(zoo, tiny_encoder, tmp_path):
    model = sk.export_encoder(tiny_encoder, tmp_path / "model")
    result = sk.embed(sk.EmbedConfig(model, str(zoo[0]), output=str(tmp_path / "e.parquet")))

    def shown(names):
        return {name.encode("utf-8", "backslashreplace").decode() for name in names}

    assert set(result.paths) == shown(_names(zoo[1], READ))
    assert set(result.unreadable) == shown(_names(zoo[1], REFUSED, HIDDEN))
    assert set(read_info(result.output).unreadable) == set(result.unreadable)
    queries = [name for name in result.paths if "names" in name][:3]
    strange = str(zoo[0] / "names" / "caf\udce9.png")
    if os.path.exists(strange):
        queries.append(strange)
    config = sk.SearchConfig(str(result.output), queries, page=str(tmp_path / "page.html"))
    assert [row.query for row in sk.search(config).rows] == queries


@pytest.mark.slow
def test_a_run_on_it(zoo, short_resnet, tmp_path, caplog):
    """Loads, trains, evaluates and fine-tunes; a file vanishes and another appears meanwhile."""
    folder, made = zoo
    classes, run = tmp_path / "classes", tmp_path / "run"
    classes.mkdir()
    of_classes = [
        odd for odd in made if odd.name.split("/")[0] in ("names", "damage", "formats")
    ]
    for name in ("names", "damage", "formats"):
        (classes / name).symlink_to(folder / name)
    lost = classes / "lost"
    lost.mkdir()
    for number in range(5):
        (lost / f"{number}.png").write_bytes(encode("PNG", seed=500 + number))
    config = sk.PretrainConfig(
        dataset=str(classes), run_dir=str(run), image_size=8, batch_size=32, steps=2,
        encoder="simclr_resnet18", width_multiplier=0.125, small_image_stem=True,
        skip_unreadable=True, max_bad_fraction=0.2,
    )  # fmt: skip
    source, held_out = training_parts(config, RunDirectory(run))
    gone = next(path for path in source.paths if path.startswith("lost"))
    content = (classes / gone).read_bytes()

    class Meddle(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            (classes / gone).unlink(missing_ok=True)
            (lost / "new.png").write_bytes(b"no image")

    with (
        pytest.MonkeyPatch.context() as patch,
        caplog.at_level(logging.WARNING, "simclr_keras"),
    ):
        patch.setattr(pretrain_module, "StopOnNonFiniteLoss", lambda *_, **_settings: Meddle())
        result = sk.pretrain(config)
    assert result.steps == 2
    assert set(result.unreadable) <= {
        *(odd.name for odd in made if odd.expected == HIDDEN),
        gone,
    }
    assert "could not be read and were replaced by others" in caplog.text
    assert f"1 added (lost/new.png), 1 missing ({gone})" in caplog.text
    assert all(record.getMessage().isprintable() for record in caplog.records)
    (classes / gone).write_bytes(content)
    evaluated = sk.evaluate(sk.EvaluateConfig(str(run)))
    used = sum(odd.expected in (READ, HIDDEN) for odd in of_classes) + 5
    assert used == evaluated.train_images + evaluated.test_images + len(evaluated.unreadable)
    assert not evaluated.test_images_seen
    tuned = sk.fine_tune_run(sk.FineTuneConfig(run=str(run), steps=2))
    assert tuned.test_images == evaluated.test_images
    train = sk.load_run_source(str(run), "train")
    assert (
        len(read_labels(run / tuned.classifier / "labels.csv", train).indices) == tuned.labels
    )
    assert sk.report(sk.ReportConfig(str(run))).views.exists()
