"""The script for GPUs, at toy size on two logical CPU devices; the list of scripts."""

import json
import subprocess
import sys

import pytest
from processes import ROOT

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
    scripts = {path.name for path in folder.glob("*.py")} - {"run.py", "timed_fit.py", "gpu.py"}
    described = (folder / "README.md").read_text()
    assert [name for name in sorted(scripts) if f"| `{name}` |" not in described] == []
    command = [sys.executable, str(folder / "run.py"), "--list"]
    listed = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    # They need a finished run, Keras 2, a folder of images, and embeddings.
    others = {"half_size.py", "keras_cv_trainer.py", "transfer.py", "selection.py"}
    run = {line.split()[1].removeprefix("benchmarks/") for line in listed.splitlines()}
    assert run - others == scripts - others
