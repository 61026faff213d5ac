import keras
import numpy as np
import pytest

from simclr_keras.networks.applications_input import applications_input

MODULES = [
    name
    for name, module in vars(keras.applications).items()
    if hasattr(module, "preprocess_input")
]


@pytest.mark.parametrize("module", MODULES)
def test_it_does_what_the_module_does(rng, module):
    images = rng.random((2, 3, 4, 3), "float32")
    expected = getattr(keras.applications, module).preprocess_input(images * 255.0)
    model = applications_input(module)
    np.testing.assert_allclose(model(images), expected, rtol=1e-5, atol=1e-5)
    kinds = {type(layer).__module__.split(".")[0] for layer in model.layers}
    assert kinds == {"keras"} and not model.weights


def test_an_unknown_preprocessing_is_not_guessed(monkeypatch):
    monkeypatch.setattr(keras.applications.vgg16, "preprocess_input", lambda x: x / 2)
    with pytest.raises(ValueError, match="keras.applications.vgg16 is not known here"):
        applications_input("vgg16")
