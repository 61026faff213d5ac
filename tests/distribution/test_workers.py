"""Several workers: two processes on this machine that talk over loopback."""

import csv
import os
import re
import shutil
import signal
import socket

import numpy as np
import pytest
from prepared import jpeg
from processes import ROOT, Script, run_script
from shards import samples, write_tar

from simclr_keras.runs.directory import RunDirectory

SETTINGS = (
    "--dataset digits --encoder simclr_resnet18 --width-multiplier 0.125 --small-image-stem "
    "--image-size 8 --batch-size 16 --probe --optimizer sgd --learning-rate 0.002 "
    "--temperature 0.5"
).split()
# The command with one of the eight blocks and graphs as they are: less to trace.
COMMAND = """
import os, signal
import tensorflow as tf
from simclr_keras.cli.main import main
from simclr_keras.networks.resnet import BLOCK_GROUPS
from simclr_keras.training import show_progress
from simclr_keras.training.callbacks import SaveCheckpoints

show_progress._LEAST_SECONDS = 0.0  # before the line that says how long it will take
saved = SaveCheckpoints.on_epoch_end

def on_epoch_end(self, epoch, logs=None):
    saved(self, epoch, logs)
    if self.model.steps_made == int(os.environ.get("DIES_AFTER", -1)):
        os.kill(os.getpid(), signal.SIGKILL)

SaveCheckpoints.on_epoch_end = on_epoch_end

BLOCK_GROUPS[18] = ((0, 0, 0, 1), False)
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


def _start(run, *arguments, environments, folders=(ROOT, ROOT)):
    return [
        Script(
            COMMAND,
            *("pretrain", "--run-dir", str(run), *SETTINGS, *arguments),
            cwd=folder,
            env={"CUDA_VISIBLE_DEVICES": "", **environment},
            together=True,
        )
        for environment, folder in zip(environments, folders)
    ]


def _finish(processes):
    results = [process.finish() for process in processes]
    return [(result.returncode, result.stdout) for result in results]


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


def _equal(one, two):
    weights = [RunDirectory(run).load_encoder().get_weights() for run in (one, two)]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert [row["step"] for row in _rows(one)] == [row["step"] for row in _rows(two)]
    for a, b in zip(_rows(one), _rows(two)):
        for name in ("loss", "contrastive_accuracy", "probe_loss", "probe_accuracy"):
            assert float(a[name]) == pytest.approx(float(b[name]), abs=1e-4), name


STEPS = ("--steps", "4", "--checkpoint-every", "2")


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process trains, and what it says."""
    run = tmp_path_factory.mktemp("one_process") / "one"
    return run, _alone(run, *STEPS)


@pytest.mark.slow
def test_two_workers_train_as_one_process(one, tmp_path, worker_environments):
    run, alone = one
    results = [alone]
    results += _finish(_start(tmp_path / "two", *STEPS, environments=worker_environments()))
    for code, text in results:
        assert code == 0, text[-3000:]
    assert "2 replicas" in results[1][1]
    # The chief writes; the other says nothing of steps and leaves no file.
    assert "step 4/4" in results[1][1] and "step 4/4" not in results[2][1]
    # They leave together: none takes the other for crashed.
    assert not any("crashed" in text for _, text in results)
    assert os.listdir(tmp_path) == ["two"]
    assert sorted(os.listdir(run)) == sorted(os.listdir(tmp_path / "two"))
    _equal(run, tmp_path / "two")


@pytest.mark.slow
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
def test_a_worker_that_dies_and_comes_back(one, tmp_path):
    whole, (code, text) = one  # two workers train as one process
    assert code == 0, text[-3000:]
    broken, (first, second) = tmp_path / "broken", _slurm_steps()
    environments = [first, {**second, "DIES_AFTER": "2"}]
    (code, text), (killed, _) = _finish(_start(broken, *STEPS, environments=environments))
    assert (code, killed) == (1, -signal.SIGKILL), text[-3000:]
    assert "simclr-keras: Another worker is gone" in text and "Traceback" not in text
    assert not (broken / "encoder.keras").exists()
    results = _finish(_start(broken, *STEPS, environments=_slurm_steps()))
    for code, text in results:
        assert code == 0, text[-3000:]
    assert "continuing at step 2" in results[0][1]
    _equal(whole, broken)


@pytest.mark.slow
def test_a_signal_to_one_worker_stops_all_with_a_checkpoint(tmp_path, worker_environments):
    steps = ("--steps", "100000", "--checkpoint-every", "1000")
    workers = _start(tmp_path / "run", *steps, environments=worker_environments())
    workers[0].await_line("images/s over")  # the first steps were made
    workers[1].send_signal(signal.SIGTERM)
    results = _finish(workers)
    stopped = [
        re.search(r"Stopped after step (\d+), with a check", text) for _, text in results
    ]
    assert [code for code, _ in results] == [143, 143], results
    assert stopped[0][1] == stopped[1][1]
    assert (tmp_path / "run" / "checkpoints" / f"ckpt-{stopped[0][1]}.index").exists()


@pytest.mark.slow
def test_workers_with_other_settings_are_stopped(tmp_path, worker_environments):
    """And only the first of them has looked into the shards: the other gets its index."""
    write_tar(tmp_path / "data" / "a.tar", samples([jpeg(k) for k in range(40)], [0, 1] * 20))
    environments = [
        {**environment, "SIMCLR_KERAS_CACHE": str(tmp_path / f"cache {number}")}
        for number, environment in enumerate(worker_environments())
    ]
    data = "--dataset", str(tmp_path / "data")
    workers = _start(tmp_path / "run", *data, "--steps", "2", environments=environments[:1])
    workers += _start(tmp_path / "run", *data, "--steps", "3", environments=environments[1:])
    results = _finish(workers)
    for code, text in results:
        assert code == 2 and "The workers have different numbers of steps" in text, text[-3000:]
    assert ["Indexing the 1 shard(s)" in text for _, text in results] == [True, False]
    first, second = (list((tmp_path / f"cache {number}").iterdir()) for number in range(2))
    assert [file.name for file in first] == [file.name for file in second]
    assert not (tmp_path / "run").exists()


def _folders(tmp_path, image_folder):
    """Folders to call two workers in, each with `images`; in the second a file has another name."""
    for name in ("first", "second"):
        shutil.copytree(image_folder, tmp_path / name / "images")
    file = tmp_path / "second" / "images" / "cats" / "00.png"
    file.rename(file.with_stem("000"))
    return tmp_path / "first", tmp_path / "second"


OWN_IMAGES = ("--dataset", "./images", "--batch-size", "4", "--steps", "2")


def test_workers_that_see_other_images_are_stopped(tmp_path, image_folder, worker_environments):
    folders = _folders(tmp_path, image_folder)
    workers = _start(
        tmp_path / "run", *OWN_IMAGES, environments=worker_environments(), folders=folders
    )
    for code, text in _finish(workers):
        assert code == 2 and "The workers have different images" in text, text[-3000:]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("broken", [0, 1])
def test_a_worker_that_cannot_load_images(tmp_path, image_folder, worker_environments, broken):
    folders = _folders(tmp_path, image_folder)
    shutil.rmtree(folders[broken] / "images")
    workers = _start(
        tmp_path / "run", *OWN_IMAGES, environments=worker_environments(), folders=folders
    )
    results = _finish(workers)
    code, text = results[broken]
    assert code == 2 and "simclr-keras: There is no folder ./images" in text, text[-3000:]
    code, text = results[1 - broken]
    said = (
        "The first worker could not load the images: There is no folder ./images",
        "Another worker could not load its images, and says why.",
    )
    assert code == 2 and said[broken] in text, text[-3000:]
    assert not (tmp_path / "run").exists()
