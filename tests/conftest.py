"""Shared fixtures: seeds, a tiny encoder, a folder of images, eager and traced execution."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Read when NumPy and scikit-learn are imported. Other tests run on the other cores: the threads of
# a product of small matrices wait for one another, and a logistic regression takes 50 times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import contextlib
import ctypes
import json
import logging
import pathlib
import socket
import sys
import tempfile
import zlib

import encoded
import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import python
from tensorflow.python import pywrap_tfe
from tensorflow.python.data.ops.iterator_ops import OwnedIterator

from simclr_keras.data.parallel import without_tuning
from simclr_keras.networks.resnet import BLOCK_GROUPS

# Where networks are trained or used. Optimized graphs are checked in the other folders, by tests
# with the marker, and by whole commands and the README's script in processes of their own.
UNOPTIMIZED = {"classifiers", "cli", "embeddings", "evaluation", "plots", "runs", "training"}
SMALL_NETWORK = {
    "encoder": "simclr_resnet18",
    "width_multiplier": 0.125,
    "small_image_stem": True,
}

# Keras' own pipelines too: each iterator that is left over waits for the thread that tunes it, and
# the garbage collection that finds them took up to a minute.
_create_iterator = OwnedIterator._create_iterator
OwnedIterator._create_iterator = lambda self, dataset: _create_iterator(
    self, without_tuning(dataset)
)

# The start of a script that trains on one replica and on two.
TWO_DEVICES = """
import json, sys
import keras, numpy as np, tensorflow as tf
import simclr_keras as sk

# Graph optimization takes a third of the time and does not affect the comparison.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategies = {
    1: tf.distribute.get_strategy(),
    2: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
}
"""


def saved_state(model) -> dict[str, np.ndarray]:
    """All that a checkpoint of a model of ours holds, by name."""
    with tempfile.TemporaryDirectory() as folder:
        path = tf.train.Checkpoint(**model.checkpointed()).write(os.path.join(folder, "state"))
        reader = tf.train.load_checkpoint(path)
        names = sorted(reader.get_variable_to_dtype_map())
        return {n: reader.get_tensor(n) for n in names if n != "_CHECKPOINTABLE_OBJECT_GRAPH"}


def pytest_addoption(parser):
    parser.addoption("--runslow", action="store_true", help="run the slow tests too")


def pytest_collection_finish():
    # Tracing makes many objects and little garbage: by default a tenth of the time goes into
    # searching all that TensorFlow consists of again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_collection_modifyitems(config, items):
    # Longest first: a test of minutes at the end would leave the other processes idle.
    items.sort(key=lambda item: "slow" not in item.keywords)
    if not config.getoption("--runslow"):
        skip = pytest.mark.skip(reason="slow: run with --runslow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


@pytest.hookimpl(tryfirst=True)  # before the fixtures, of a module too
def pytest_runtest_setup(item):
    """Graph optimization takes a third of the time of tests that train."""
    marked = "optimized_graphs" in item.keywords
    unoptimized = item.path.parent.name in UNOPTIMIZED and not marked
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": unoptimized})


@pytest.fixture(autouse=True)
def set_seeds(request, monkeypatch):
    # To begin the streams of seeded kernels again, TensorFlow forgets all kernels, traced functions
    # among them: preparing those again took half of many tests. A seed of its own gives a test
    # kernels of its own; Keras' draws do not depend on it.
    with monkeypatch.context() as patch:
        patch.setattr(pywrap_tfe, "TFE_ContextClearCaches", lambda context: None)
        keras.utils.set_random_seed(0)
        tf.random.set_seed(zlib.crc32(request.node.nodeid.encode()))
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(autouse=True)
def no_pictures(request, monkeypatch):
    """Pretraining writes its page without pictures: they take seconds, more than many a test."""
    if "pictures" not in request.keywords:
        monkeypatch.setattr("simclr_keras.runs.pretrain.pictures_at_end", lambda *a: {})


@pytest.fixture(autouse=True)
def restore_log_level():
    """Commands show their log; what a later test finds in its own must not depend on the order."""
    logger = logging.getLogger("simclr_keras")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(autouse=True, scope="module")
def return_memory():
    """Gives the system back what the tests of a module have freed: glibc keeps it in pieces."""
    yield
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture(autouse=True, scope="session")
def own_settings_folder(tmp_path_factory):
    """`embed` keeps a key in the user's folder of settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["eager", "traced"])
def run_mode(request):
    """Wraps a function; each test runs once eager and once traced."""
    return (lambda f: f) if request.param == "eager" else tf.function


@pytest.fixture
def tiny_encoder():
    """An 8-filter encoder of 16 x 16 RGB images with synchronised batch norm."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False)(images)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def regularised_encoder():
    """Like `tiny_encoder`, with a bias and an L2 penalty on its kernel."""
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, kernel_regularizer="l2")(images)
    x = keras.layers.BatchNormalization(synchronized=True)(x)
    x = keras.layers.ReLU()(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def encoded_images():
    """name -> the bytes of a JPEG, PNG, GIF or BMP, written by Pillow."""
    return encoded.encoded_images()


@pytest.fixture
def image_folder(tmp_path):
    """12 small PNG images of several sizes in two class folders."""
    draw = np.random.default_rng(1)
    for index in range(12):
        name = ("cats", "dogs")[index % 2]
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 256, (20 + index, 24, 3), "uint8")
        (folder / f"{index:02}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    return tmp_path / "images"


@pytest.fixture
def single_blocks(monkeypatch):
    """Cuts SimCLR's ResNet-18 and ResNet-50 to one block per group."""
    for depth in (18, 50):
        monkeypatch.setitem(BLOCK_GROUPS, depth, ((1, 1, 1, 1), depth == 50))


@pytest.fixture(scope="module")
def short_resnet():
    """Cuts SimCLR's ResNet-18 to one of its eight blocks for the tests of a module.

    For modules that test how a network is used: the full one takes five times as long to build,
    load and trace. The block that is left has a stride and a shortcut with weights.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BLOCK_GROUPS, 18, ((0, 0, 0, 1), False))
        yield


@pytest.fixture(scope="module")
def untrained_run(short_resnet):
    """Makes a finished run with untrained weights, enough to test commands on a run."""
    from simclr_keras import PretrainConfig, ProjectionHead, build_encoder
    from simclr_keras.runs.directory import RunDirectory
    from simclr_keras.runs.run_images import image_sizes
    from simclr_keras.runs.run_source import training_parts

    def make(path, dataset="digits", with_lists=False, **settings) -> pathlib.Path:
        """Runs of earlier versions had no list of what they hold out, and others none at all."""
        run = {"dataset": str(dataset), "run_dir": str(path), "image_size": 8}
        directory = RunDirectory(path)
        config = PretrainConfig(**{**run, **SMALL_NETWORK, **settings})
        lists = {}
        if with_lists:
            source, held_out = training_parts(config, directory)
            lists = dict(image_sizes=image_sizes(source), held_out=held_out)
        directory.begin(config, **lists)
        options = dict(SMALL_NETWORK)
        encoder = build_encoder(options.pop("encoder"), 8, **options)
        directory.save_networks(encoder, ProjectionHead())
        return directory.path

    return make


@pytest.fixture
def run_python():
    """Runs a script in its own process and returns its stdout."""
    return python


@pytest.fixture
def interrupted_after(monkeypatch):
    """Makes a context in which training ends, as by Ctrl-C, after so many checkpoints."""
    from simclr_keras.training.callbacks import SaveCheckpoints

    @contextlib.contextmanager
    def interrupted(count):
        save, saved = SaveCheckpoints.on_epoch_end, []

        def save_or_stop(self, epoch, logs=None):
            save(self, epoch, logs)
            saved.append(epoch)
            if len(saved) == count:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(SaveCheckpoints, "on_epoch_end", save_or_stop)
            yield

    return interrupted


@pytest.fixture
def worker_environments():
    """Makes the environment variables of two workers on this machine, on free ports."""

    def make() -> list[dict]:
        sockets = [socket.socket() for _ in range(2)]
        for each in sockets:
            each.bind(("localhost", 0))
        workers = [f"localhost:{each.getsockname()[1]}" for each in sockets]
        for each in sockets:
            each.close()
        return [
            {
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                )
            }
            for index in range(2)
        ]

    return make
