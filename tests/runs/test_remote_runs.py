"""Runs, exports and embeddings in a store: TensorFlow's own `ram://`."""

import json
import os
import pathlib
import tempfile
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK
from encoded import encoded_images

import simclr_keras as sk
from simclr_keras import stores
from simclr_keras.runs.run_images import image_sizes
from simclr_keras.training.run_rows import read_history

pytestmark = pytest.mark.usefixtures("short_resnet")


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A folder of a store; nothing may be left in the folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(stores, "_WAITS", ())
    monkeypatch.chdir(folder)
    yield f"ram://runs/{time.time_ns()}"
    assert not [name for name in os.listdir(folder) if not name.startswith("__autograph")]


def _config(run_dir, **changes):
    settings = {"image_size": 8, "batch_size": 16, "steps": 3, "checkpoint_every": 1}
    return sk.PretrainConfig("digits", str(run_dir), **{**SMALL_NETWORK, **settings, **changes})


def _copy(folder, url):
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            stores.put(path, f"{url}/{path.relative_to(folder)}")
    return url


@pytest.mark.slow
def test_an_interrupted_run_goes_on_as_a_local_one_and_loses_nothing(
    url, tmp_path, interrupted_after, monkeypatch, caplog
):
    put, failed = stores.put, []

    def put_at_second(source, target):
        if not failed and target.endswith("ckpt-2.json"):  # in the middle of a checkpoint
            failed.append(target)
            raise tf.errors.UnavailableError(None, None, "no network")
        put(source, target)

    monkeypatch.setattr(stores, "put", put_at_second)
    with interrupted_after(2):
        sk.pretrain(_config(url))
    assert len(failed) == 1 and "no network. It is tried again" in caplog.text
    assert stores.has_file(f"{url}/checkpoints/ckpt-2.json")
    assert not stores.has_file(f"{url}/encoder.keras") and not stores.has_file(
        f"{url}/.writer.json"
    )
    result = sk.pretrain(_config(url))
    assert (result.run_dir, result.first_step, result.steps) == (url, 2, 3)
    with interrupted_after(2):
        sk.pretrain(_config(tmp_path / "local"))
    local = sk.pretrain(_config(tmp_path / "local"))
    assert result.loss == local.loss
    networks = [sk.load_encoder(path).get_weights() for path in (url, tmp_path / "local")]
    for ours, theirs in zip(*networks, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    files = {name.split("/")[0] for name in stores.files_below(url)}
    assert files == {path.name for path in (tmp_path / "local").iterdir()} - {".run.lock"}
    (tmp_path / "history.csv").write_bytes(stores.read(f"{url}/history.csv"))
    rows = [read_history(tmp_path / name) for name in ("history.csv", "local/history.csv")]
    assert [[row["loss"] for row in each] for each in rows][0] == [
        row["loss"] for row in rows[1]
    ]


def test_what_a_run_in_a_store_is_for(url, tmp_path, untrained_run):
    run = _copy(untrained_run(tmp_path / "run", batch_size=32), url + "/run")
    result = sk.evaluate(sk.EvaluateConfig(run))
    assert json.loads(stores.read(f"{run}/evaluation.json"))["dataset"] == "digits"
    local = sk.evaluate(sk.EvaluateConfig(str(tmp_path / "run")))
    assert result.linear_accuracy == local.linear_accuracy
    assert result.page == f"{run}/report/index.html"
    page = stores.read(result.page).decode()
    assert "<title>" in page and tempfile.gettempdir() not in page
    versions = [
        sk.export(sk.ExportConfig(run, output=f"{url}/models/m")).path for _ in range(2)
    ]
    assert versions == [f"{url}/models/m/1", f"{url}/models/m/2"]
    compared = sk.evaluate(sk.EvaluateConfig(run, compare=f"{url}/models/m"))
    (other,) = compared.comparisons
    assert other.name == f"{url}/models/m"
    assert other.measured.linear_accuracy == pytest.approx(local.linear_accuracy, abs=0.01)
    for output in ("e.npz", "e.parquet"):
        embedded = sk.embed(
            sk.EmbedConfig(f"{url}/models/m", "digits", split="test", output=f"{url}/{output}")
        )
        assert embedded.output == f"{url}/{output}" and embedded.embeddings.shape == (360, 64)
        found = sk.search(sk.SearchConfig(f"{url}/{output}", embedded.paths[:1], neighbours=2))
        assert len(found.rows[0].matches) == 2
        assert b"digits/test/0" in stores.read(found.page) and found.page.startswith(
            f"{url}/e_n"
        )
    info = sk.PretrainConfig.from_sources(dataset="digits", run_dir="x", weights=run)
    assert (info.encoder, info.image_size) == ("simclr_resnet18", 8)
    assert len(sk.load_run_source(run, "test")) == 360
    assert not [name for name in stores.files_below(url) if "unfinished" in name]


@pytest.mark.slow
def test_a_classifier_of_a_run_in_a_store(url, tmp_path, untrained_run, caplog):
    run = _copy(untrained_run(tmp_path / "run"), url + "/run")
    config = sk.FineTuneConfig(run=run, labels_per_class=1, steps=1, name="a")
    sk.fine_tune_run(config)
    names = sorted(n for n in stores.files_below(run) if n.startswith("fine-tuned"))
    assert "fine-tuned/a/classifier.keras" in names and "fine-tuned/a/result.json" in names
    assert len(json.loads(stores.read(f"{run}/results.json"))) == 1
    stores.remove(f"{run}/fine-tuned/a/classifier.keras")  # it was cut off on its way
    sk.fine_tune_run(config)
    assert sorted(n for n in stores.files_below(run) if n.startswith("fine-tuned")) == names
    caplog.clear()
    sk.fine_tune_run(config)
    assert f"{run}/fine-tuned/a is finished: nothing to do." in caplog.text


def test_what_is_odd_and_what_to_label_in_a_store(url):
    images = encoded_images()
    for number, name in enumerate(("a/1.png", "a/2.png", "b/3.png")):
        stores.write(f"{url}/photos/{name}", images["png"] if number else b"no image")
    stores.write(f"{url}/photos/b/4.txt", images["png"])
    found = sk.check_data(sk.CheckDataConfig(f"{url}/photos", output=f"{url}/odd.html"))
    named = {finding.kind: finding.names for finding in found.findings}
    assert found.images == 3 and named["no-image"] == ["a/1.png"]
    assert named["duplicates"] == ["a/2.png", "b/3.png"]
    assert named["other-suffix"] == ["b/4.txt"]
    assert found.page == f"{url}/odd.html" and b"a/1.png" in stores.read(found.page)
    np.savez("e.npz", paths=["a/2.png", "b/3.png"], embeddings=np.eye(2), root=f"{url}/photos")
    stores.put(pathlib.Path("e.npz"), f"{url}/e.npz")
    os.remove("e.npz")
    mapped = sk.map_embeddings(sk.MapConfig(f"{url}/e.npz"))
    assert (mapped.page, mapped.pictures) == (f"{url}/e_map.html", 2)
    assert stores.has_file(mapped.page)
    chosen = sk.select(sk.SelectConfig(f"{url}/e.npz", output=f"{url}/label.csv", count=1))
    assert chosen.output == f"{url}/label.csv" and len(chosen.chosen) == 1
    listed = stores.read(chosen.output).decode().split()
    assert listed == ["path,label", f"{chosen.chosen[0]},"]


def test_a_message_names_the_run_in_the_store(url):
    with pytest.raises(sk.InputError, match=f"There is no run in {url} .no config.json"):
        sk.evaluate(sk.EvaluateConfig(url))
    with pytest.raises(sk.InputError, match=f"There is no exported model in {url}"):
        sk.load_exported(url)


@pytest.mark.slow
def test_images_and_shards_in_a_store(url, tmp_path, image_folder, monkeypatch):
    from shards import samples, write_parquet, write_tar

    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    images = [p.read_bytes() for p in sorted(image_folder.rglob("*.png"))]
    write_tar(tmp_path / "tar" / "0.tar", samples(images, [0, 1] * 6))
    write_parquet(
        tmp_path / "plain" / "0.parquet", images, [0, 1] * 6, ["a", "b"], compression="none"
    )
    write_parquet(tmp_path / "zipped" / "0.parquet", images, [0, 1] * 6, ["a", "b"])
    for folder in (image_folder, *(tmp_path / name for name in ("tar", "plain", "zipped"))):
        remote = _copy(folder, f"{url}/{folder.name}")
        sources = [sk.load_source(name, "all") for name in (str(folder), remote)]
        sizes = [list(image_sizes(source).items()) for source in sources]
        assert sizes[0] == sizes[1]
        for _ in range(2):  # with the index that is kept
            assert sources[0].labels.tolist() == sources[1].labels.tolist()
            batches = [
                next(
                    iter(
                        sk.pretraining_dataset(
                            s, 12, seed=0, first_step=0, num_steps=1, image_size=9
                        )
                    )
                )
                for s in sources
            ]
            np.testing.assert_array_equal(*batches)
            sources[1] = sk.load_source(remote, "all")
