"""A bounded part of `full_disk.py`: one command whose disk is filled before it and while it saves."""

import subprocess

import full_disk
import pytest


@pytest.mark.slow
def test_a_full_disk_is_said_and_costs_nothing():
    arguments = ["--only", "pretrain", "--fills", "2"]
    command = full_disk.in_own_namespace(*arguments)
    if command is None:
        pytest.skip("no file system can be mounted here: needs root, or user namespaces")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "2 disks filled, 0 with something wrong" in done.stdout
