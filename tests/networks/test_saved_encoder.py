import importlib.util
import json

import keras
import numpy as np
import pytest

from simclr_keras import (
    InputError,
    ProjectionHead,
    build_encoder,
    load_encoder,
    load_projection_head,
    prepare_encoder,
)
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.keras_versions import KERAS_3, layers_of
from simclr_keras.networks.applications_input import applications_input
from simclr_keras.networks.batch_normalization import BatchNormalization
from simclr_keras.networks.saved_encoder import save_encoder
from simclr_keras.networks.strided_convolution import StridedConv2D

LOAD = """
import json, sys
import numpy as np
import simclr_keras as sk
images = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
print(json.dumps(sk.load_encoder(sys.argv[1])(images, training=False).numpy().tolist()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("selective", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_new_process_loads_what_was_saved(tmp_path, run_python, selective):
    """There nothing of the package is imported yet, so Keras knows none of its layers."""
    options = {"width_multiplier": 0.125, "small_image_stem": True}
    name = "simclr_resnet50" if selective else "simclr_resnet18"
    encoder = build_encoder(name, 32, selective_kernel=selective, **options)
    encoder.save(tmp_path / "encoder.keras")
    images = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
    loaded = json.loads(
        run_python(LOAD, str(tmp_path / "encoder.keras"), new=True).splitlines()[-1]
    )
    np.testing.assert_allclose(loaded, encoder(images, training=False), rtol=1e-5, atol=1e-6)


WITHOUT_THE_PACKAGE = """
import json, sys
sys.modules["simclr_keras"] = None  # importing it fails
import keras, numpy as np
found = []
for file in sys.argv[1:]:
    model = keras.models.load_model(file)
    images = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
    inputs = images if len(model.input_shape) == 4 else images[:, :, 0, 0]
    found.append(np.array(model(inputs, training=False)).tolist())
print(json.dumps(found))
"""


@pytest.mark.slow
def test_keras_alone_loads_what_a_run_saves(tmp_path, run_python, rng):
    images = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 1, strides=2)(images)  # replaced by one with a right gradient
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization()(x))
    own = keras.Model(images, x)
    head = ProjectionHead(8)
    head.build((None, 16))
    options = dict(width_multiplier=0.125, small_image_stem=True, selective_kernel=True)
    networks = {
        "selective": build_encoder("simclr_resnet50", 16, **options),
        "own": build_encoder(own, 16),
        "keras": prepare_encoder(own, 16, preprocess=applications_input("resnet50")).encoder,
        "head": head.as_model(16),
    }
    assert any(isinstance(x, StridedConv2D) for x in layers_of(networks["own"]))
    networks["classifier"] = build_classifier(networks["own"], 3)
    files = [str(tmp_path / f"{name}.keras") for name in networks]
    for network, file in zip(networks.values(), files):
        for layer in layers_of(network, keras.layers.BatchNormalization):
            layer.set_weights([rng.random(w.shape) for w in layer.get_weights()])
        save_encoder(network, file)
    found = json.loads(run_python(WITHOUT_THE_PACKAGE, *files).splitlines()[-1])
    for outputs, network, file in zip(found, networks.values(), files):
        inputs = np.random.default_rng(0).random((2, 16, 16, 3)).astype("float32")
        inputs = inputs if len(network.input_shape) == 4 else inputs[:, :, 0, 0]
        expected = network(inputs, training=False)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
        loaded = load_encoder(file)
        np.testing.assert_allclose(
            loaded(inputs, training=False), expected, rtol=1e-5, atol=1e-6
        )
        # Ready for training again: fast, synchronised, with right gradients.
        for kind in (BatchNormalization, StridedConv2D):
            assert len(layers_of(loaded, kind)) == len(layers_of(network, kind))
        norms = layers_of(loaded, keras.layers.BatchNormalization)
        assert norms and all(norm.synchronized for norm in norms)


BESIDE_TF_KERAS = """
import sys
import tf_keras
import simclr_keras as sk
from simclr_keras.errors import RunFailure
try:
    print(sk.load_encoder(sys.argv[1]).output_shape)
except RunFailure as failure:
    print(failure)
"""


@pytest.mark.slow
def test_beside_tf_keras_it_loads_or_says_why_not(tmp_path, run_python):
    if not importlib.util.find_spec("tf_keras"):
        pytest.skip("needs the test extra: tf-keras")
    encoder = build_encoder("simclr_resnet18", 32, width_multiplier=0.125)
    encoder.save(tmp_path / "encoder.keras")
    said = run_python(BESIDE_TF_KERAS, str(tmp_path / "encoder.keras"), new=True)
    expected = "(None, 64)" if KERAS_3 else "cannot load a .keras file in a process"
    assert expected in said.splitlines()[-1]


def test_a_run_directory_is_enough(untrained_run, tmp_path, rng):
    run = untrained_run(tmp_path / "run")
    images = rng.integers(0, 256, (2, 8, 8, 3), "uint8")
    features = load_encoder(run)(images)
    np.testing.assert_array_equal(features, load_encoder(run / "encoder.keras")(images))
    head = load_projection_head(run)
    assert isinstance(head, ProjectionHead) and head(features).shape == (2, 128)
    np.testing.assert_array_equal(
        head(features), load_projection_head(run / "projection_head.keras")(features)
    )


@pytest.mark.parametrize("load", [load_encoder, load_projection_head])
def test_another_folder_is_no_run(tmp_path, load):
    with pytest.raises(InputError, match="is not the directory of a finished run: it has no "):
        load(tmp_path)


def test_code_in_a_file_is_not_run(tmp_path):
    images = keras.Input((8, 8, 3))
    features = keras.layers.GlobalAveragePooling2D()(images)
    outputs = keras.layers.Lambda(lambda x: x + 0 * (1 / 0 if x is None else 1))(features)
    keras.Model(images, outputs).save(tmp_path / "e.keras")
    with pytest.raises(InputError, match="e.keras contains Python code"):
        load_encoder(tmp_path / "e.keras")
