import importlib.util
import json

import numpy as np
import pytest

from simclr_keras import build_encoder
from simclr_keras.keras_versions import KERAS_3

LOAD = """
import json, sys
import numpy as np
import simclr_keras as sk
images = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
print(json.dumps(sk.load_encoder(sys.argv[1])(images, training=False).numpy().tolist()))
"""


@pytest.mark.parametrize("selective", [False, True])
def test_a_new_process_loads_what_was_saved(tmp_path, run_python, selective):
    """There nothing of the package is imported yet, so Keras knows none of its layers."""
    options = {"width_multiplier": 0.125, "small_image_stem": True}
    name = "simclr_resnet50" if selective else "simclr_resnet18"
    encoder = build_encoder(name, 32, selective_kernel=selective, **options)
    encoder.save(tmp_path / "encoder.keras")
    images = np.random.default_rng(0).random((2, 32, 32, 3)).astype("float32")
    loaded = json.loads(run_python(LOAD, str(tmp_path / "encoder.keras")).splitlines()[-1])
    np.testing.assert_allclose(loaded, encoder(images, training=False), rtol=1e-5, atol=1e-6)


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


def test_beside_tf_keras_it_loads_or_says_why_not(tmp_path, run_python):
    if not importlib.util.find_spec("tf_keras"):
        pytest.skip("needs the test extra: tf-keras")
    encoder = build_encoder("simclr_resnet18", 32, width_multiplier=0.125)
    encoder.save(tmp_path / "encoder.keras")
    said = run_python(BESIDE_TF_KERAS, str(tmp_path / "encoder.keras"), timeout=120)
    expected = "(None, 64)" if KERAS_3 else "cannot load a .keras file in a process"
    assert expected in said.splitlines()[-1]
