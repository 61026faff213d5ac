import subprocess
import sys

import pytest
from processes import ROOT

from simclr_keras.errors import RunFailure
from simclr_keras.runs.run_lock import RunLock

HOLD = """
import os, sys
from simclr_keras.runs.run_lock import RunLock

lock = RunLock(sys.argv[1])
lock.hold()
print("held", flush=True)
sys.stdin.read()
"""


def test_it_is_held_until_the_end(tmp_path):
    path = tmp_path / "runs" / "a"
    with RunLock(path) as lock:
        assert not path.exists()  # nothing is written before it is needed
        lock.hold()
        lock.hold()
        with pytest.raises(RunFailure, match="Another process is training in"):
            RunLock(path).hold()
    with RunLock(path) as lock:
        lock.hold()


def test_it_dies_with_its_owner(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as owner:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(RunFailure):
            RunLock(tmp_path).hold()
        owner.kill()
        owner.wait()
        with RunLock(tmp_path) as lock:
            lock.hold()
