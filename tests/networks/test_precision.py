"""Mixed precision: of new networks, and of copies of networks."""

import keras
import numpy as np
import pytest

from simclr_keras import ProjectionHead, build_encoder
from simclr_keras.classifiers.fine_tune import build_classifier
from simclr_keras.keras_versions import layers_of
from simclr_keras.networks.precision import copy_of, precision


@pytest.fixture
def classifier():
    options = dict(width_multiplier=0.125, small_image_stem=True, selective_kernel=True)
    encoder = build_encoder("simclr_resnet18", 16, **options)
    head = ProjectionHead(8)
    head.build(encoder.output_shape)
    return build_classifier(encoder, 3, head)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_a_copy_computes_in_mixed_precision_and_its_logits_in_float32(classifier, name, rng):
    copy = copy_of(classifier, name)
    weighted = [layer for layer in layers_of(copy) if layer.weights]
    weighted = [layer for layer in weighted if not isinstance(layer, keras.Model)]
    assert {layer.compute_dtype for layer in weighted[:-1]} == {name}
    assert weighted[-1].compute_dtype == "float32"
    for a, b in zip(copy.weights, classifier.weights):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.array(a), np.array(b))
    images = rng.random((4, 16, 16, 3), "float32")
    exact, mixed = (np.array(x(images, training=True)) for x in (classifier, copy))
    assert 0 < np.abs(mixed - exact).max() < 0.05 * np.abs(exact).max()
    assert all(layer.compute_dtype == "float32" for layer in layers_of(classifier))


def test_a_copy_has_variables_of_its_own_and_computes_the_same(classifier, rng):
    copy = copy_of(classifier)
    images = rng.random((4, 16, 16, 3), "float32")
    before = np.array(classifier(images))
    np.testing.assert_array_equal(np.array(copy(images)), before)
    copy.set_weights([0 * w for w in copy.get_weights()])
    np.testing.assert_array_equal(np.array(classifier(images)), before)
    norms = layers_of(copy, keras.layers.BatchNormalization)
    assert norms and all(norm.synchronized for norm in norms)


def test_new_networks_take_the_policy_and_the_earlier_one_comes_back():
    with precision("bfloat16"):
        assert keras.layers.Dense(2).compute_dtype == "bfloat16"
        with pytest.raises(KeyError), precision("float16"):
            raise KeyError
        assert keras.layers.Dense(2).compute_dtype == "bfloat16"
        with precision("none"):
            assert keras.layers.Dense(2).compute_dtype == "bfloat16"
    assert keras.layers.Dense(2).compute_dtype == "float32"
