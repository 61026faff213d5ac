"""`verify-replicas` accepts what is right and names the layer that is wrong."""

import json

import pytest
from processes import run_script

from simclr_keras.errors import InputError
from simclr_keras.training.verify_config import VerifyConfig
from simclr_keras.training.verify_replicas import encoder_builder

ENCODERS = """
import keras, tensorflow as tf

def _encoder(*layers):
    images = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, use_bias=False, name="first")(images)
    for layer in layers:
        x = layer(x)
    x = keras.layers.Conv2D(4, 3, name="last")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))

class Penalty(keras.layers.Layer):
    def call(self, x):
        self.add_loss(0.01 * tf.reduce_sum(tf.cast(x, tf.float32) ** 2))
        return x

def right():
    return _encoder(keras.layers.BatchNormalization(synchronized=True))

def alone():
    norm = keras.layers.BatchNormalization(name="alone")
    return _encoder(keras.layers.BatchNormalization(synchronized=True, name="together"), norm)

def stray():
    return _encoder(Penalty(name="stray"))

def nested():
    images = keras.Input((12, 12, 3))
    return keras.Model(images, alone()(images))

class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.inner = alone()

    def call(self, images, training=False):
        return self.inner(images, training=training)

def subclassed():
    images = keras.Input((12, 12, 3))
    return keras.Model(images, Subclassed()(images))

class Rounding(keras.layers.Layer):
    "Magnifies rounding errors, as deep untrained networks do."
    def call(self, x):
        return x + tf.sin(100.0 * x)

def magnifying():
    norm = keras.layers.BatchNormalization(synchronized=True)
    return _encoder(norm, Rounding(name="magnifies"))
"""

# The command without draws and with graphs as they are: these take most of the time, and say
# nothing of the encoder.
COMMAND = """
import tensorflow as tf
from simclr_keras.cli.main import main
from simclr_keras.training import verify_replicas
from tests.mirrored import Mirrored

verify_replicas.SimCLRAugmenter = Mirrored
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
main()
"""
AS_USERS_DO = "from simclr_keras.cli.main import main; main()"


def _verify(tmp_path, *arguments, command=COMMAND):
    (tmp_path / "my_encoders.py").write_text(ENCODERS)
    arguments = ("verify-replicas", *arguments, "--json")
    result = run_script(command, *arguments, cwd=tmp_path)
    return result, json.loads(result.stdout.splitlines()[-1]) if result.stdout else None


@pytest.mark.slow
def test_an_encoder_that_is_right_passes(tmp_path):
    result, report = _verify(
        tmp_path,
        *("--encoder", "my_encoders:right", "--l2", "0.01"),
        command=AS_USERS_DO,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert report["passed"] and not report["findings"]
    names = [name for name, _ in report["variables"]]
    assert len(names) > 10 and report["variables"][0][1] < 1e-5
    assert "2 replicas train as one." in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "encoder, text",
    [
        (
            "alone",
            "Layer alone (BatchNormalization) normalises each replica's images separately",
        ),
        ("stray", "Layer stray: its penalty is"),
        pytest.param(
            "subclassed",
            "Layer alone (BatchNormalization) normalises each replica's images separately",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "nested",
            "Layer alone (BatchNormalization) normalises each replica's images separately",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_layer_that_is_wrong_is_named(tmp_path, encoder, text):
    result, report = _verify(tmp_path, "--encoder", f"my_encoders:{encoder}", "--steps", "2")
    assert result.returncode == 1, result.stderr[-2000:]
    assert not report["passed"] and len(report["findings"]) == 1
    assert text in report["findings"][0] and text in result.stdout
    assert "do NOT train as one" in result.stdout


@pytest.mark.slow
def test_an_encoder_that_magnifies_rounding_is_trained_more_slowly(tmp_path):
    result, report = _verify(tmp_path, "--encoder", "my_encoders:magnifying")
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    assert report["learning_rate"] <= 1e-6 and 8 * report["rounding"] <= report["tolerance"]
    assert "2 replicas train as one." in result.stdout


@pytest.mark.slow
def test_where_rounding_alone_reaches_the_tolerance_it_says_so(tmp_path):
    options = ("--encoder", "my_encoders:magnifying", "--tolerance", "1e-8")
    result, report = _verify(tmp_path, *options)
    assert result.returncode == 0, result.stdout + result.stderr[-2000:]
    assert report["learning_rate"] == 1e-8 and 8 * report["rounding"] > report["tolerance"]
    assert report["variables"][0][1] > 1e-8
    assert "train as one, within floating-point error." in result.stdout


def test_wrong_use():
    with pytest.raises(InputError, match="Received: replicas=3, batch_size=8"):
        VerifyConfig(replicas=3, batch_size=8)
    with pytest.raises(InputError, match="Received: optimizer='adam'"):
        VerifyConfig(optimizer="adam")
    with pytest.raises(InputError, match="There is no file mine.keras"):
        encoder_builder("mine.keras", 16)
    with pytest.raises(InputError, match="nowhere:build cannot be imported"):
        encoder_builder("nowhere:build", 16)
