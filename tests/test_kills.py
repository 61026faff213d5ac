"""A bounded part of `kills.py` and `interrupts.py`: one command, killed, interrupted, asked to save."""

import signal

import interrupts
import pytest
from kills import Commands


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    made = Commands(tmp_path_factory.mktemp("kills"), "digits")
    made.prepare(["pretrain"])
    return made


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_left_alone(commands):
    moment = "open run/history.csv#1"  # appends the row of step 8, half of which is left
    assert moment in commands.writes["pretrain"]
    killed, code, said, largest, names, left = commands.kill("pretrain", moment)
    assert killed and code == 0, said
    assert not largest and not names and not left, (largest, names, left)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="not on this system")
def test_a_run_that_is_asked_to_save_goes_on(commands):
    moment = interrupts.PRETRAIN["a step of the second interval"]
    code, _, steps, largest, names = interrupts.interrupt(
        commands, "pretrain", moment, signal.SIGUSR1
    )
    assert code == 0 and not largest and not names
    assert steps[-2:] == [8, 10] and 4 < steps[0] < 8
