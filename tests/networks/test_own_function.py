"""`module:function` as the name of an encoder."""

import sys

import keras
import pytest

from simclr_keras import InputError, build_encoder
from simclr_keras.keras_versions import layers_of
from simclr_keras.networks.own_function import function_of

OWN = """
import keras

def build(image_size=None, channels=3):
    import beside  # found when the function is called
    return keras.Sequential([
        keras.Input((image_size, image_size, channels)),
        keras.layers.Conv2D(beside.FILTERS, 3),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
    ])

def fixed():
    return build(16)

def wrong():
    return 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "beside.py").write_text("FILTERS = 5")
    yield
    for name in ("own", "beside"):
        sys.modules.pop(name, None)


def test_a_function_of_the_current_folder(own):
    path = list(sys.path)
    encoder = build_encoder("own:build", 12, channels=4)
    assert encoder.input_shape == (None, 12, 12, 4) and encoder.output_shape == (None, 5)
    norms = layers_of(encoder, keras.layers.BatchNormalization)
    assert norms[0].synchronized  # prepared as a model that is given
    assert build_encoder("own:fixed", 16).output_shape == (None, 5)
    assert sys.path == path


@pytest.mark.parametrize(
    "name, text",
    [
        ("nowhere:build", r"nowhere:build cannot be imported \(No module named 'nowhere'\)"),
        ("own:missing", "own:missing cannot be imported .*has no attribute 'missing'"),
        ("own:wrong", "own:wrong must return a `keras.Model`. Received: int"),
    ],
)
def test_what_is_no_function_gets_a_sentence(own, name, text):
    with pytest.raises(InputError, match=text):
        build_encoder(name, 16)


def test_the_function_itself_is_left_as_it_is(own):
    assert not function_of("own:fixed")(image_size=8, channels=1).layers[-2].synchronized
