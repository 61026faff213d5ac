import dataclasses
import json
import logging
import os
import pathlib
import tempfile

import pytest
import tensorflow as tf

from simclr_keras import local_copies, stores
from simclr_keras.errors import InputError, RunFailure
from simclr_keras.local_copies import (
    claim,
    file_here,
    folder_here,
    get_again,
    here,
    send,
    with_local_copies,
)
from simclr_keras.result import Result

gfile = tf.io.gfile


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for copies, which is empty again after each command."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(stores, "_WAITS", ())
    return folder


@pytest.fixture
def url(request):
    """A folder of a store, of its own for each test, with two files."""
    url = f"ram://copies/{request.node.name}/run"
    stores.write(f"{url}/config.json", b"{}")
    stores.write(f"{url}/checkpoints/ckpt-1.data", b"weights")
    return url


@dataclasses.dataclass(frozen=True)
class _Found(Result):
    path: pathlib.Path


@pytest.fixture
def sent(monkeypatch):
    """The names of what is written to and removed from stores, in order."""
    names = []
    put, remove = stores.put, stores.remove

    def noted(name, action):
        def act(*arguments):
            names.append(name + os.path.basename(arguments[-1]))
            return action(*arguments)

        return act

    monkeypatch.setattr(stores, "put", noted("", put))
    monkeypatch.setattr(stores, "remove", noted("-", remove))
    return names


def test_local_paths_are_used_as_they_are(tmp_path):
    assert folder_here(tmp_path) == file_here(tmp_path) == here(tmp_path) == tmp_path
    assert with_local_copies(lambda path: path)(tmp_path) == tmp_path


def test_a_remote_path_needs_a_command():
    with pytest.raises(RuntimeError, match="`with_local_copies` is missing"):
        folder_here("ram://a")


def test_only_what_changed_is_sent_in_the_order_of_writing(url, sent, temporary):
    @with_local_copies
    def work():
        folder = folder_here(url)
        assert folder.name == "run" and folder == folder_here(url + "/")
        assert json.loads((folder / "config.json").read_text()) == {}
        for time, name in enumerate(["encoder.keras", "b.json", "a.data", "history.csv"]):
            (folder / name).write_text(name)
            os.utime(folder / name, (9 + time, 9 + time))
        (folder / ".run.lock").touch()
        (folder / ".a.unfinished-1").touch()
        (folder / "checkpoints" / "ckpt-1.data").unlink()
        return _Found(folder / "report" / "page.html")

    assert work().path == f"{url}/report/page.html"
    assert sent == ["b.json", "a.data", "history.csv", "encoder.keras", "-ckpt-1.data"]
    files = ["a.data", "b.json", "config.json", "encoder.keras", "history.csv"]
    assert sorted(stores.files_below(url)) == files
    assert not os.listdir(temporary)


def test_what_makes_a_run_finished_is_gone_before_the_run_changes(url, sent):
    stores.write(f"{url}/encoder.keras", b"x")

    @with_local_copies
    def work():
        folder = folder_here(url)
        (folder / "encoder.keras").rename(folder / "encoder_2_steps.keras")
        (folder / "config.json").write_text("longer")

    work()
    assert sent == ["encoder_2_steps.keras", "-encoder.keras", "config.json"]


def test_what_is_not_needed_is_left_where_it_is(url):
    @with_local_copies
    def work():
        folder = folder_here(url, without=["checkpoints/ckpt-*"])
        return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))

    assert work() == ["config.json"]
    assert stores.has_file(f"{url}/checkpoints/ckpt-1.data")


def test_messages_name_what_is_in_the_store(url, caplog):
    @with_local_copies
    def work():
        folder = folder_here(url)
        logging.getLogger("simclr_keras").warning("In %s: %d", folder, 3)
        raise InputError(f"{folder}/config.json is damaged")

    with caplog.at_level(logging.INFO, "simclr_keras"):
        with pytest.raises(InputError, match=f"^{url}/config.json is damaged"):
            work()
    assert caplog.messages == [f"In {url}: 3"]


def test_files(url, temporary):
    @with_local_copies
    def work():
        assert file_here(f"{url}/config.json").read_text() == "{}"
        assert not file_here(f"{url}/none.json").exists()
        assert here(f"{url}/config.json").read_text() == "{}" and here(url).is_dir()
        file_here(f"{url}/new/e.npz", get=False).write_bytes(b"e")

    work()
    assert stores.read(f"{url}/new/e.npz") == b"e" and not os.listdir(temporary)


def _fail(*arguments):
    raise tf.errors.UnavailableError(None, None, "no network")


def test_a_store_that_fails_once_loses_nothing(url, monkeypatch, caplog, temporary):
    @with_local_copies
    def work():
        file = folder_here(url) / "history.csv"
        file.write_text("1")
        with monkeypatch.context() as patch:
            patch.setattr(stores, "put", _fail)
            send()
        file.write_text("12")

    work()
    assert stores.read(f"{url}/history.csv") == b"12" and not os.listdir(temporary)
    assert (
        len(caplog.records) == 1 and "no network. It is tried again with the n" in caplog.text
    )


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RunFailure("The loss is NaN")])
def test_what_cannot_be_sent_is_kept_and_its_place_is_said(
    url, error, monkeypatch, caplog, temporary
):
    monkeypatch.setattr(stores, "put", _fail)

    @with_local_copies
    def work():
        (folder_here(url) / "history.csv").write_text("1")
        if error:
            raise error

    with pytest.raises(
        type(error) if isinstance(error, Exception) else error or RunFailure
    ) as told:
        work()
    if error is None:
        assert "could not be sent: no network" in str(told.value)
    (kept,) = temporary.rglob("history.csv")
    assert kept.read_text() == "1"
    assert f"1 file(s) are not in {url}: they are kept in {kept.parent}" in caplog.text


def test_a_second_writer_is_refused_until_the_first_is_gone(url):
    mark = f"{url}/.writer.json"

    @with_local_copies
    def work(change=lambda: None):
        folder = folder_here(url)
        claim(folder)
        claim(folder)
        assert json.loads(stores.read(mark))["process"] == os.getpid()
        change()
        (folder / "history.csv").write_text("1")

    work()
    assert not stores.has_file(mark)
    other = {"token": "x", "host": "elsewhere", "process": 1, "born": "y", "time": 1e12}
    other_content = json.dumps(other).encode()
    stores.write(mark, other_content)
    with pytest.raises(RunFailure, match=f"training in {url}: process 1 on elsewhere. Wait"):
        work()
    assert stores.read(mark) == other_content
    stores.write(mark, json.dumps({**other, "time": 0.0}).encode())  # long ago
    with pytest.raises(RunFailure, match="Process 1 on elsewhere has begun to write"):
        work(lambda: stores.write(mark, other_content))
    assert stores.read(mark) == other_content


def test_a_process_of_this_machine_that_was_killed_is_gone(url, monkeypatch):
    import socket

    mark = {"token": "x", "host": socket.gethostname(), "process": 2**22 + 1, "born": "y"}
    stores.write(f"{url}/.writer.json", json.dumps({**mark, "time": 1e12}).encode())
    with_local_copies(lambda: claim(folder_here(url)))()
    for process in (os.getpid(), 1):  # the number of one before; a living one
        content = json.dumps({**mark, "process": process, "time": 1e12}).encode()
        stores.write(f"{url}/.writer.json", content)
        if process == 1:
            with pytest.raises(RunFailure, match="Another process is training"):
                with_local_copies(lambda: claim(folder_here(url)))()
        else:
            with_local_copies(lambda: claim(folder_here(url)))()


def test_versions_are_not_replaced(url, temporary):
    stores.write(f"{url}/1/saved_model.pb", b"first")

    @with_local_copies
    def work(number):
        folder = folder_here(url, outline=True)
        assert [p.name for p in sorted(folder.iterdir())][:1] == ["1"]
        assert not (folder / "1" / "saved_model.pb").exists()
        (folder / number).mkdir(exist_ok=True)
        (folder / number / "saved_model.pb").write_bytes(b"second")

    work("2")
    with pytest.raises(RunFailure, match="1/saved_model.pb exists: another process"):
        work("1")
    assert stores.read(f"{url}/1/saved_model.pb") == b"first"
    assert stores.read(f"{url}/2/saved_model.pb") == b"second"
    assert len(os.listdir(temporary)) == 1  # what would have been sent


def test_the_newest_version_of_a_file_that_others_write_too(url):
    @with_local_copies
    def work():
        folder = folder_here(url)
        stores.write(f"{url}/results.json", b"[1]")
        get_again(folder / "results.json")
        return (folder / "results.json").read_text()

    assert work() == "[1]"


def test_copies_of_a_command_within_a_command_are_shared(url):
    inner = with_local_copies(lambda: folder_here(url))

    @with_local_copies
    def work():
        folder = folder_here(url)
        (folder / "new").write_text("x")
        assert inner() == url and (folder / "new").exists()

    work()
    assert local_copies._COPIES.get() is None and stores.has_file(f"{url}/new")
