"""Signals to a command: what it says, its exit code, and what is left."""

import signal

import numpy as np
import pytest
from processes import Script, run_script

from simclr_keras.runs.directory import RunDirectory

RUN = (
    "pretrain --dataset digits --encoder simclr_resnet18 --width-multiplier 0.125 "
    "--small-image-stem --image-size 8 --batch-size 16 --checkpoint-every 4 --run-dir"
).split()
COMMAND = """
import signal, time
import tensorflow as tf
from simclr_keras.cli.main import main
from simclr_keras.networks.resnet import BLOCK_GROUPS
from simclr_keras.training import show_progress

BLOCK_GROUPS[18] = ((0, 0, 0, 1), False)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
shown = show_progress.ShowProgress.on_train_batch_end

def slowly(self, batch, logs=None):  # so that a signal meets the step it is meant for
    shown(self, batch, logs)
    print("made", self._step, flush=True)
    time.sleep(SECONDS)

show_progress.ShowProgress.on_train_batch_end = slowly
main()
"""


def _interrupt(arguments, number, after, seconds=0.3):
    """Sends a signal after a line of standard output; what the command then returns."""
    process = Script(COMMAND.replace("SECONDS", str(seconds)), *map(str, arguments))
    process.await_line(after)
    process.send_signal(number)
    result = process.finish()
    assert "Traceback" not in result.stderr, result.stderr
    return result.returncode, result.stderr


@pytest.mark.slow
def test_training_stops_with_a_checkpoint_and_goes_on_exactly(tmp_path):
    run, number, step = tmp_path / "run", signal.SIGTERM, 3
    code, err = _interrupt([*RUN, run, "--steps", "6"], number, after=f"made {step - 1}")
    assert code == 128 + number
    *_, answered, last = (line for line in err.splitlines() if line)
    assert answered.startswith("Stopping after this step.")
    assert last == (
        f"simclr-keras: Stopped after step {step}, with a checkpoint. Run the same command again "
        "to continue."
    )
    assert (run / "checkpoints" / f"ckpt-{step}.index").exists()
    for path in (run, tmp_path / "whole"):
        again = run_script(COMMAND.replace("SECONDS", "0"), *RUN, str(path), "--steps", "6")
        assert again.returncode == 0, again.stderr
    histories = [
        [line.rsplit(",", 1)[0] for line in (path / "history.csv").read_text().splitlines()]
        for path in (run, tmp_path / "whole")
    ]
    assert histories[0] == histories[1] and len(histories[0]) == 3
    weights = [
        RunDirectory(path).load_encoder().get_weights() for path in (run, tmp_path / "whole")
    ]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


BEFORE_THE_FIRST_STEP = """
import os, signal
from simclr_keras.cli.main import main
from simclr_keras.runs import pretrain

signal.signal(signal.SIGINT, signal.default_int_handler)
summary = pretrain.start_summary
pretrain.start_summary = lambda *a: os.kill(os.getpid(), NUMBER) or summary(*a)
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_the_first_step_there_is_nothing_to_save(tmp_path, number):
    script = BEFORE_THE_FIRST_STEP.replace("NUMBER", str(int(number)))
    result = run_script(script, *RUN, str(tmp_path / "run"), "--steps", "6")
    assert result.returncode == 128 + number
    assert "Traceback" not in result.stderr
    assert result.stderr.splitlines()[-1].endswith("Run the same command again.")
    assert not (tmp_path / "run").exists()
