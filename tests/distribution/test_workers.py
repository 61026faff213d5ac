"""Several workers: two processes on this machine that talk over loopback."""

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from processes import ROOT, run_script

from simclr_keras.runs.directory import RunDirectory

SETTINGS = (
    "--dataset digits --encoder simclr_resnet18 --width-multiplier 0.125 --small-image-stem "
    "--image-size 8 --batch-size 16 --probe --optimizer sgd --learning-rate 0.002 "
    "--temperature 0.5"
).split()
# The command with a quarter of the blocks and graphs as they are: less to trace.
COMMAND = """
import tensorflow as tf
from simclr_keras.cli.main import main
from simclr_keras.networks.resnet import BLOCK_GROUPS

BLOCK_GROUPS[18] = ((1, 0, 0, 1), False)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
main()
"""


def _alone(run, *arguments):
    """What `_finish` returns for one process."""
    result = run_script(
        COMMAND,
        *("pretrain", "--run-dir", str(run), *SETTINGS, *arguments),
        env={"CUDA_VISIBLE_DEVICES": ""},
    )
    return result.returncode, result.stdout + result.stderr


def _start(run, *arguments, environments):
    return [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, "pretrain", "--run-dir", str(run)]
            + [*SETTINGS, *arguments],
            cwd=ROOT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments
    ]


def _finish(processes, timeout=900):
    outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, outputs)]


def _slurm_steps():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        job = free.getsockname()[1] % 1000
    step = {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": "2",
        "SLURM_JOB_ID": str(job),
    }
    return [{**step, "SLURM_PROCID": str(index)} for index in range(2)]


def _rows(run):
    with (run / "history.csv").open() as file:
        return list(csv.DictReader(file))


def _equal(one, two, weight=1e-5, log=1e-4):
    weights = [RunDirectory(run).load_encoder().get_weights() for run in (one, two)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=weight)
    assert [row["step"] for row in _rows(one)] == [row["step"] for row in _rows(two)]
    for a, b in zip(_rows(one), _rows(two)):
        for name in ("loss", "contrastive_accuracy", "probe_loss", "probe_accuracy"):
            assert float(a[name]) == pytest.approx(float(b[name]), abs=log), name


@pytest.mark.slow
def test_two_workers_train_as_one_process(tmp_path, worker_environments):
    steps = ("--steps", "4", "--checkpoint-every", "2")
    results = [_alone(tmp_path / "one", *steps)]
    results += _finish(_start(tmp_path / "two", *steps, environments=worker_environments()))
    for code, text in results:
        assert code == 0, text[-3000:]
    assert "2 replicas" in results[1][1]
    # The chief writes; the other says nothing of steps and leaves no file.
    assert "step 4/4" in results[1][1] and "step 4/4" not in results[2][1]
    # They leave together: none takes the other for crashed.
    assert not any("crashed" in text for _, text in results)
    assert sorted(os.listdir(tmp_path)) == ["one", "two"]
    names = [sorted(os.listdir(tmp_path / run)) for run in ("one", "two")]
    assert names[0] == names[1]
    _equal(tmp_path / "one", tmp_path / "two")


def test_the_chief_measures_without_the_other_workers(tmp_path, worker_environments):
    work = ("--batch-size", "640", "--steps", "2", "--checkpoint-every", "2")
    results = _finish(_start(tmp_path / "run", *work, environments=worker_environments()))
    for code, text in results:
        assert code == 0, text[-3000:]
    assert ["Measured every 2 steps" in text for _, text in results] == [True, False]
    with (tmp_path / "run" / "monitor.csv").open() as file:
        rows = list(csv.DictReader(file))
    # A fiftieth of the work of one of two workers.
    assert [(row["step"], row["held_out_images"]) for row in rows] == [("0", "19"), ("2", "19")]


@pytest.mark.slow
def test_a_worker_that_dies_and_comes_back(tmp_path):
    steps = ("--steps", "20", "--checkpoint-every", "10")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    code, text = _alone(whole, *steps)  # two workers train as one process
    assert code == 0, text[-3000:]
    workers = _start(broken, *steps, environments=_slurm_steps())
    deadline = time.monotonic() + 600
    while not (broken / "checkpoints" / "ckpt-10.index").exists():
        assert time.monotonic() < deadline and workers[1].poll() is None, _finish(workers)
        time.sleep(0.02)
    workers[1].send_signal(signal.SIGKILL)
    (code, text), _ = _finish(workers)
    assert code == 1, text[-3000:]
    assert "simclr-keras: Another worker is gone" in text and "Traceback" not in text
    assert not (broken / "encoder.keras").exists()
    results = _finish(_start(broken, *steps, environments=_slurm_steps()))
    for code, text in results:
        assert code == 0, text[-3000:]
    assert "continuing at step 10" in results[0][1]
    # Training this small doubles a rounding error at each step: after ten it is visible.
    _equal(whole, broken, weight=5e-3, log=2e-2)


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_with_a_checkpoint(tmp_path, worker_environments):
    steps = ("--steps", "100000", "--checkpoint-every", "1000")
    workers = _start(tmp_path / "run", *steps, environments=worker_environments())
    for line in workers[0].stdout:
        if "images/s over" in line:  # the first steps were made
            break
    workers[1].send_signal(signal.SIGTERM)
    results = _finish(workers)
    stopped = [
        re.search(r"Stopped after step (\d+), with a check", text) for _, text in results
    ]
    assert [code for code, _ in results] == [143, 143], results
    assert stopped[0][1] == stopped[1][1]
    assert (tmp_path / "run" / "checkpoints" / f"ckpt-{stopped[0][1]}.index").exists()


def test_workers_with_other_settings_are_stopped(tmp_path, worker_environments):
    environments = worker_environments()
    workers = _start(tmp_path / "run", "--steps", "2", environments=environments[:1])
    workers += _start(tmp_path / "run", "--steps", "3", environments=environments[1:])
    for code, text in _finish(workers):
        assert code == 2 and "The workers have different numbers of steps" in text, text[-3000:]
