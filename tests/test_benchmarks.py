"""The script for GPUs, at toy size on two logical CPU devices."""

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
