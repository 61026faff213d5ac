"""Any text as the name of data: images, or one error of one line; no trace is left, no network asked."""

import pathlib
import socket

import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import example, given
from hypothesis import strategies as st
from wild import TEXTS, seeded

from simclr_keras import InputError, PretrainConfig, stores
from simclr_keras.data.datasets import is_same_data, load_source
from simclr_keras.errors import RunFailure

NAMES = st.sampled_from(
    ("cifar10", "imagenet2012_subset", "mnist", "digits", "photos", "x", "")
)
TFDS = st.builds(
    "{}{}{}{}".format,
    NAMES,
    st.sampled_from(("", "/", "/1pct", "/x=1", "/{a:1}", "/a/b", "//")),
    st.sampled_from(("", ":", ":3.0.2", ":9.9.9", ":*.*.*", ":3.*", ":x")),
    st.sampled_from(("", "[:10%]", "[", "?a=1", "+x", " ")),
)
PATHS = st.builds(
    "{}{}{}".format,
    st.sampled_from(
        ("", "/", "//", "./", "../no/", "~x/", "~nouser/", "C:\\", "C:/", "\\\\s\\")
    ),
    TEXTS,
    st.sampled_from(("", "/", "\\", "/..", ".tar", "/" + 300 * "y")),
)
URLS = st.builds(
    "{}{}{}".format,
    st.sampled_from(("gs", "ram", "s3", "file", "RAM", "http", "hdfs", "huggingface", "")),
    st.sampled_from((":", ":/", "://", ":///", "::")),
    st.one_of(st.sampled_from(("", "bucket/photos", "b/../c", "?", "mnist")), TEXTS),
)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty working folder, without a network."""

    def no_network(*_, **__):
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", no_network)
    monkeypatch.setattr(stores, "_WAITS", ())
    stat = tf.io.gfile.stat

    def local_stat(path):
        if not path.startswith(("ram:", "file:")):
            raise tf.errors.UnavailableError(None, None, "no network")
        return stat(path)

    monkeypatch.setattr(tf.io.gfile, "stat", local_stat)
    return tmp_path


@seeded
@given(st.one_of(TFDS, PATHS, URLS, TEXTS))
@example("cifar10:9.9.9")  # was an AssertionError
@example("cifar10/x=1")  # was a TypeError
@example("~nouser")  # was a RuntimeError
@example("x" * 300)  # was an OSError
@example("x/" * 3000)
@example("gs://")  # 26 seconds, and "when the store answers"
@example("./a\nb")  # was said on two lines
def test_a_name_is_that_of_images_or_refused(nowhere, name):
    if _is_a_folder_of_this_machine(name):
        return
    for look in (
        lambda: PretrainConfig(dataset=name, run_dir="run"),
        lambda: load_source(name, "all", data_dir=str(nowhere / "tfds")),
        lambda: is_same_data(name, "digits"),
    ):
        try:
            look()
        except (InputError, RunFailure) as error:
            assert len(str(error).splitlines()) == 1, str(error)
            assert isinstance(error, InputError) or "no network" in str(error), str(error)
    assert not list(nowhere.iterdir())


def _is_a_folder_of_this_machine(name: str) -> bool:
    """`/`, `~` and the like are not for a test to read."""
    try:
        path = pathlib.Path(name.removeprefix("file://")).expanduser()
        return path.is_absolute() and path.is_dir() or ".." in path.parts
    except (OSError, ValueError, RuntimeError):
        return False


@pytest.mark.parametrize("kind", ["InvalidArgumentError", "UnimplementedError"])
def test_a_path_that_no_store_can_hold_is_asked_for_once(monkeypatch, kind):
    asked = []

    def stat(path):
        asked.append(path)
        raise getattr(tf.errors, kind)(None, None, "GCS path doesn't contain a bucket name")

    monkeypatch.setattr(tf.io.gfile, "stat", stat)
    with pytest.raises(InputError, match="gs:// could not be read: GCS path .*name.$"):
        stores.has_folder("gs://")
    assert asked == ["gs://"]
