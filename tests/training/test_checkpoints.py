"""Checkpoints that are damaged, missing or do not fit on the disk."""

import errno
import hashlib
import json
import logging
import re
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import ProjectionHead, SimCLR, SimCLRAugmenter
from simclr_keras.errors import RunFailure
from simclr_keras.training import checkpoint_files
from simclr_keras.training import checkpoints as checkpoints_module
from simclr_keras.training.checkpoints import Checkpoints


@pytest.fixture
def model(tiny_encoder):
    model = SimCLR(tiny_encoder, ProjectionHead(4), SimCLRAugmenter(16))
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


@pytest.fixture
def save(model, tmp_path):
    """Saves the model at a step, with weights that tell the step."""

    def save(step):
        model.step.assign(step)
        for variable in model.encoder.variables:
            variable.assign(tf.fill(variable.shape, float(step)))
        Checkpoints(model, tmp_path).save()

    return save


def _restored(model, folder) -> tuple[int, set[float]]:
    """The step of a new start, and all numbers in the encoder."""
    model.step.assign(0)
    for variable in model.encoder.variables:
        variable.assign(tf.fill(variable.shape, -1.0))
    step = Checkpoints(model, folder).restore()
    values = {float(x) for v in model.encoder.variables for x in np.ravel(v.numpy())}
    return step, values


def _cut(file):
    file.write_bytes(file.read_bytes()[:-7])


def _change_a_byte(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def _overwrite(file):
    file.write_text("moved to the archive")


DATA = "ckpt-9.data-00000-of-00001"
DAMAGES = {
    "data cut off": (DATA, _cut, f"{DATA} has .* bytes instead of"),
    "one bit of the data": (DATA, _change_a_byte, f"{DATA} is not as it was written"),
    "no data": (DATA, lambda file: file.unlink(), f"{DATA} is missing"),
    "no index": ("ckpt-9.index", lambda file: file.unlink(), "ckpt-9.index is missing"),
    "one bit of the index": ("ckpt-9.index", _change_a_byte, "ckpt-9.index is not as it was"),
    "a list that is text": ("ckpt-9.json", _overwrite, "ckpt-9.json cannot be read"),
    "a list cut off": ("ckpt-9.json", _cut, "ckpt-9.json cannot be read"),
    "a list of something else": (
        "ckpt-9.json",
        lambda file: file.write_text("[1]"),
        "ckpt-9.json cannot be read",
    ),
}


def test_the_last_three_are_kept_with_checksums(model, save, tmp_path):
    for step in (2, 4, 6, 8):
        save(step)
    assert checkpoint_files.saved_steps(tmp_path) == [8, 6, 4]
    listed = json.loads((tmp_path / "ckpt-8.json").read_text())
    assert listed["step"] == 8 and sorted(listed["files"]) == [
        "ckpt-8.data-00000-of-00001",
        "ckpt-8.index",
    ]
    for name, known in listed["files"].items():
        content = (tmp_path / name).read_bytes()
        assert known == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert len(list(tmp_path.iterdir())) == 9  # nothing else
    assert _restored(model, tmp_path) == (8, {8.0})


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_a_damaged_one_is_used(model, save, tmp_path, caplog, damage):
    name, do, message = DAMAGES[damage]
    save(6)
    save(9)
    do(tmp_path / name)
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        assert _restored(model, tmp_path) == (6, {6.0})
    (warning,) = caplog.messages
    assert "of step 6" in warning
    assert re.search(message, warning), warning
    save(7)  # what is later was damaged
    assert checkpoint_files.saved_steps(tmp_path) == [7, 6]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_the_only_one_is_not_a_new_start(model, save, tmp_path, damage):
    name, do, message = DAMAGES[damage]
    save(9)
    do(tmp_path / name)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RunFailure, match=f"All checkpoints in .* are damaged: {message}"):
        _restored(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("damage", [None, _cut, _change_a_byte])
def test_checkpoints_of_earlier_versions(model, save, tmp_path, damage):
    """They had no list of files, but one of TensorFlow's that names the newest."""
    tracked = model.checkpointed()
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**tracked, means=model.means_variables), str(tmp_path), 2
    )
    for step in (3, 5):
        model.step.assign(step)
        for variable in model.encoder.variables:
            variable.assign(tf.fill(variable.shape, float(step)))
        manager.save(checkpoint_number=step)
    (tmp_path / "checkpoint").unlink()
    if damage:
        damage(tmp_path / "ckpt-5.data-00000-of-00001")
    step = 3 if damage else 5
    assert _restored(model, tmp_path) == (step, {float(step)})


@pytest.mark.parametrize("at", ["before", "while writing", "while listing"])
def test_a_full_disk_never_costs_the_last_one(model, save, tmp_path, monkeypatch, at):
    save(4)
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        if at == "before":
            usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
            patch.setattr(checkpoint_files.shutil, "disk_usage", lambda folder: usage)
        elif at == "while writing":

            def write(checkpoint, prefix):
                open(f"{prefix}.data-00000-of-00001", "wb").close()
                raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

            patch.setattr(tf.train.Checkpoint, "write", write)
        else:
            patch.setattr(checkpoint_files, "write_json", _raises(full))
        with pytest.raises(RunFailure, match="step 8 could not be written") as caught:
            save(8)
    assert "Make room and run the same command again." in str(caught.value)
    if at == "before":
        assert "1.0 MB are free" in str(caught.value)
    else:
        assert "No space left on device" in str(caught.value)
    # What was written whole is as good as listed.
    whole = 8 if at == "while listing" else 4
    assert f"The last good checkpoint is {tmp_path / f'ckpt-{whole}'}." in str(caught.value)
    assert not list(tmp_path.glob(".*"))
    assert _restored(model, tmp_path) == (whole, {float(whole)})


def _raises(error):
    def function(*arguments, **options):
        raise error

    return function


def test_space_is_looked_at_before_the_run(model, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        checkpoints_module, "too_little_space", lambda folder, needed: f"it needs {needed}"
    )
    with pytest.raises(RunFailure, match="no room for 4 more checkpoints in .*: it needs") as e:
        Checkpoints(model, tmp_path / "new").check_space()
    numbers = sum(np.size(v) for v in [*model.variables, *model.optimizer.variables])
    assert f"it needs {4 * 4 * numbers}" in str(e.value)
    monkeypatch.undo()
    assert usage.free > 2**21
    Checkpoints(model, tmp_path / "new").check_space()
    assert not (tmp_path / "new").exists()
