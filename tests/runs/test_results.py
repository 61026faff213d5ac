import datetime
import json
import shlex
import threading

import filelock
import pytest
import tensorflow as tf

import simclr_keras
from simclr_keras.errors import RunFailure
from simclr_keras.runs import results
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.environment import command_line
from simclr_keras.runs.results import check_results, record_result


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path)


def _read(directory):
    return json.loads((directory.path / "results.json").read_text())


def test_results_are_appended_with_what_is_needed_to_repeat_them(directory):
    record_result(directory, "evaluate", {"knn_accuracy": 0.5})
    record_result(directory, "fine-tune", {"accuracy": 0.75})
    first, second = _read(directory)
    assert (first["measured"], first["result"]) == ("evaluate", {"knn_accuracy": 0.5})
    assert (second["measured"], second["result"]) == ("fine-tune", {"accuracy": 0.75})
    assert second["command"] is None  # called from Python
    assert second["version"] == simclr_keras.__version__
    assert second["tensorflow"] == tf.__version__
    date = datetime.datetime.fromisoformat(second["date"])
    assert date.utcoffset() == datetime.timedelta(0)
    assert abs(datetime.datetime.now(datetime.timezone.utc) - date).total_seconds() < 60
    assert sorted(path.name for path in directory.path.iterdir()) == [
        ".results.lock",
        "results.json",
    ]


def test_what_must_be_there_once_is_not_repeated(directory):
    record_result(directory, "fine-tune", {"accuracy": float("nan"), "steps": 2})
    earlier = {"accuracy": float("nan"), "steps": 2, "new field": None}
    record_result(directory, "fine-tune", earlier, once=True)
    assert len(_read(directory)) == 1
    record_result(directory, "fine-tune", {**earlier, "steps": 3}, once=True)
    record_result(directory, "distill", earlier, once=True)
    assert len(_read(directory)) == 3


@pytest.mark.parametrize(
    "program",
    ["simclr-keras", "/a/bin/simclr-keras", "simclr-keras.exe", "/b/simclr_keras/__main__.py"],
)
def test_the_command_is_what_one_types_again(monkeypatch, program):
    typed = ["evaluate", "runs/my flowers", "--json"]
    monkeypatch.setattr("sys.argv", [program, *typed])
    assert command_line() == "simclr-keras evaluate 'runs/my flowers' --json"
    assert shlex.split(command_line())[1:] == typed


@pytest.mark.parametrize("program", ["", "-c", "/a/train.py", "/other/__main__.py"])
def test_another_program_has_no_command(monkeypatch, program):
    monkeypatch.setattr("sys.argv", [program, "evaluate"])
    assert command_line() is None


@pytest.mark.parametrize(
    "content", [b"[{", b"{}", b'["evaluate"]', b'[{"accuracy": 1}]', b"\xff\xfe", b""]
)
def test_what_is_not_a_list_of_results_is_left_as_it_is(directory, content):
    directory.results_file.write_bytes(content)
    for attempt in (check_results, lambda d: record_result(d, "evaluate", {})):
        with pytest.raises(RunFailure, match="is not a list of results, and is left as it is"):
            attempt(directory)
    assert directory.results_file.read_bytes() == content


def test_a_result_that_json_lacks_leaves_the_file_whole(directory):
    record_result(directory, "evaluate", {})
    before = directory.results_file.read_bytes()
    with pytest.raises(TypeError):
        record_result(directory, "evaluate", {"model": object()})
    assert directory.results_file.read_bytes() == before
    record_result(directory, "evaluate", {})  # and the lock is free again


def test_two_at_once_both_find_their_place(directory):
    start = threading.Barrier(8)

    def record(number):
        start.wait()
        record_result(directory, "evaluate", {"number": number})

    threads = [threading.Thread(target=record, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(entry["result"]["number"] for entry in _read(directory)) == list(range(8))


def test_one_that_was_killed_is_not_waited_for(directory):
    (directory.path / ".results.lock").touch()
    record_result(directory, "evaluate", {})
    assert len(_read(directory)) == 1


def test_one_that_does_not_end_is_named(directory, monkeypatch):
    monkeypatch.setattr(results, "_WAIT_SECONDS", 0.1)
    with filelock.FileLock(directory.path / ".results.lock"):
        with pytest.raises(
            RunFailure, match="Another command has been writing to .*results.json"
        ):
            record_result(directory, "evaluate", {})
    assert not directory.results_file.exists()
