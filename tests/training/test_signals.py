import os
import signal
import threading
import time

import pytest
from processes import run_script

from simclr_keras.errors import Interrupted
from simclr_keras.training.signals import StopSignals, do_nothing


@pytest.fixture(autouse=True)
def not_ignored():
    """Ctrl-C is ignored if the tests run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _wait_for(signals):
    deadline = time.monotonic() + 30
    while signals.received is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return signals.received


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_answered_at_once(capsys, number):
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    signals = StopSignals()
    with pytest.raises(Interrupted, match="just finished") as stopped, signals.noted():
        os.kill(os.getpid(), number)
        assert _wait_for(signals) == number
    assert stopped.value.exit_code == 128 + number
    assert "Stopping after this step" in capsys.readouterr().err
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_without_a_signal_nothing_happens():
    signals, threads = StopSignals(), threading.active_count()
    with signals.noted():
        assert threading.active_count() == threads + 1
    assert signals.received is None and threading.active_count() == threads


def test_what_the_process_ignores_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals = StopSignals()
    with signals.noted():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
    assert signals.received is None and signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_another_thread_leaves_signals_alone():
    before, seen = signal.getsignal(signal.SIGINT), []

    def work():
        with StopSignals().noted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="not on this system")
@pytest.mark.parametrize("before", [signal.SIG_DFL, do_nothing])
def test_one_signal_asks_for_a_checkpoint(capsys, before):
    found = signal.signal(signal.SIGUSR1, before)
    try:
        signals = StopSignals()
        with signals.noted():
            os.kill(os.getpid(), signal.SIGUSR1)
            deadline = time.monotonic() + 30
            while not signals.asked_to_save and time.monotonic() < deadline:
                time.sleep(0.01)
        assert signals.asked_to_save and signals.received is None
        assert signal.getsignal(signal.SIGUSR1) is before
        own = signal.signal(signal.SIGUSR1, lambda *_: None)
        with StopSignals().noted():  # a program's own handler is left alone
            assert signal.getsignal(signal.SIGUSR1) not in (signal.SIG_DFL, do_nothing)
        assert own is before
    finally:
        signal.signal(signal.SIGUSR1, found)


ANY_COMMAND = """
import os, signal, threading, time
from simclr_keras.training.signals import second_signal_ends_at_once

signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with second_signal_ends_at_once():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
except KeyboardInterrupt:
    print("first", flush=True)
try:
    with second_signal_ends_at_once():
        os.kill(os.getpid(), signal.SIGTERM)  # ends something slowly, as a long operation
        time.sleep(1.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
except KeyboardInterrupt:
    time.sleep(60)
"""


@pytest.mark.slow
def test_any_command_ends_at_once_for_a_second_signal():
    handled = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
    result = run_script(handled + ANY_COMMAND)
    assert result.returncode == 130
    assert result.stdout.splitlines() == ["first"]
    says = [line for line in result.stderr.splitlines() if line.startswith("End")]
    assert [line.split(".")[0] for line in says] == [
        "Ending after what is in progress",
        "Ended at once",
    ]


SCRIPT = """
import os, signal, time
from simclr_keras.training.signals import StopSignals

signal.signal(signal.SIGINT, signal.default_int_handler)
with StopSignals().noted():
    for _ in range(2):  # while the main thread cannot run Python, as in a long step
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
    time.sleep(60)
"""


def test_a_second_signal_ends_the_process_at_once():
    began = time.monotonic()
    result = run_script(SCRIPT)
    assert result.returncode == 130 and time.monotonic() - began < 50
    assert result.stderr.splitlines()[-1] == "Ended at once, at the last checkpoint."
