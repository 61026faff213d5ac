"""Scripts at toy size, that for GPUs on two logical CPU devices; the list of scripts."""

import importlib
import json
import subprocess
import sys

import pytest
from processes import ROOT

import simclr_keras as sk
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.keras_versions import KERAS_3


@pytest.mark.slow
@pytest.mark.skipif(not KERAS_3, reason="the results are those of the default stack")
def test_the_script_for_gpus_runs_and_writes_all_results(tmp_path):
    output = tmp_path / "gpu.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--toy"]
    done = subprocess.run(
        [*command, "--output", str(output)], text=True, capture_output=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(output.read_text())
    rates = {**results["step"], "input": results["input"]}
    assert sorted(results["step"]) == ["bfloat16, XLA", "float32"]
    assert all(each["images_per_second"] > 0 for each in rates.values()), rates
    assert results["replicas"]["replicas"] == 2
    assert results["replicas"]["largest_difference"] < 1e-4
    # The limit of a toy.
    assert results["batch"] == {"whole": {"images": 8}, "micro-batches": {"images": 8}}
    assert 0 < results["cifar10"]["linear_accuracy"] <= 1


def test_every_script_is_described_and_run():
    folder = ROOT / "benchmarks"
    no_scripts = {"run.py", "timed_fit.py", "made_images.py", "gpu.py"}
    scripts = {path.name for path in folder.glob("*.py")} - no_scripts
    described = (folder / "README.md").read_text()
    assert [name for name in sorted(scripts) if f"| `{name}` |" not in described] == []
    command = [sys.executable, str(folder / "run.py"), "--list"]
    listed = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    # They need a finished run, Keras 2, a folder of images, and embeddings.
    others = {"half_size.py", "keras_cv_trainer.py", "transfer.py", "selection.py"}
    run = {line.split()[1].removeprefix("benchmarks/") for line in listed.splitlines()}
    assert run - others == scripts - others


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Imports a script."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    return importlib.import_module


@pytest.mark.slow
def test_all_layouts_give_the_same_batches(script, tmp_path, monkeypatch):
    layouts = script("layouts")
    monkeypatch.setattr(layouts, "PER_SHARD", 30)
    monkeypatch.setattr(layouts, "PER_CLASS", 40)
    found = []
    for layout in layouts.LAYOUTS:
        layouts.write(layout, tmp_path / layout, layouts.images_of(200))
        found.append(layouts.start(layout, str(tmp_path / layout), check=True))
    assert {row["images"] for row in found} == {200}
    assert len({row["batches"] for row in found}) == 1 and all(row["resumes"] for row in found)


def test_a_simulated_imagenet(script, tmp_path):
    """Its images are numbered in the order in which TFDS reads several shards in turn."""
    imagenet = script("imagenet")
    imagenet.write(tmp_path, 500, 20, (8, 3))
    folder = tmp_path / "imagenet2012" / "5.1.0"
    assert len(list(folder.glob("*-train.tfrecord-*-of-00008"))) == 8
    source = sk.load_source("imagenet2012", "train", data_dir=str(tmp_path))
    assert isinstance(source, ShardSource) and source.labels.tolist() == list(range(500))
    jpegs = imagenet.made_images.Images(500, 500).jpegs
    assert [source.read(k).numpy() for k in (0, 17, 130, 499)] == [
        jpegs[k % 251] for k in (0, 17, 130, 499)
    ]
    assert len(sk.load_source("imagenet2012", "test", data_dir=str(tmp_path))) == 20
