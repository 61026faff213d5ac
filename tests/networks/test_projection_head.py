import re

import keras
import numpy as np
import pytest
import resnet_reference
import tensorflow as tf

from simclr_keras import ProjectionHead


def randomised(head, width):
    """The head with weights that leave no two variables alike, and them as the twin wants."""
    rng = np.random.default_rng(1)
    head.build((None, width))
    layers = []
    for dense, norm in zip(head.dense_layers, head.norm_layers):
        dense.set_weights([rng.normal(size=tuple(w.shape)) for w in dense.weights])
        norm.set_weights([rng.uniform(0.5, 1.5, tuple(w.shape)) for w in norm.weights])
        layers.append((dense.get_weights()[0], norm.get_weights()))
    return head, layers


@pytest.mark.parametrize(
    "layers, width, parameters",
    [
        (0, 6, 0),
        (1, 4, 6 * 4 + 3 * 4),
        (2, 4, 6 * 6 + 4 * 6 + 6 * 4 + 3 * 4),
        (3, 4, 2 * (6 * 6 + 4 * 6) + 6 * 4 + 3 * 4),
    ],
)
def test_sizes(rng, layers, width, parameters):
    head = ProjectionHead(output_dim=4, num_layers=layers)
    features = rng.random((5, 6)).astype("float32")
    assert head(features).shape == (5, width)
    assert sum(int(np.prod(v.shape)) for v in head.weights) == parameters


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
def test_each_layers_output_is_that_of_the_head_written_in_numpy(rng, run_mode, num_layers):
    head, layers = randomised(ProjectionHead(3, num_layers, hidden_dim=5), 6)
    features = rng.normal(size=(4, 6)).astype("float32")
    expected = resnet_reference.projection_head(features, layers)
    for ours, theirs in zip(run_mode(head.layer_outputs)(features), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    for count in range(num_layers + 1):
        output = run_mode(lambda x, count=count: head(x, layers=count))(features)
        np.testing.assert_allclose(output, expected[count], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(head(features), expected[-1], rtol=1e-5, atol=1e-5)


def test_fine_tuning_from_the_first_layer_leaves_the_rest_alone(rng):
    head, _ = randomised(ProjectionHead(3, num_layers=3), 6)
    features = keras.Input((6,))
    model = keras.Model(features, keras.layers.Dense(2)(head(features, layers=1)))
    assert model.layers[1].output.shape == (None, 6)
    before = [w.numpy() for w in head.weights]
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(rng.normal(size=(8, 6)), np.arange(8) % 2, verbose=0)
    changed = {
        layer.name
        for layer in [*head.dense_layers, *head.norm_layers]
        for w in layer.weights
        if not any(np.array_equal(w.numpy(), b) for b in before)
    }
    assert changed == {"dense_0", "norm_0"}


@pytest.mark.parametrize("layers", [-1, 3])
def test_a_layer_that_is_not_there(rng, layers):
    message = f"`layers` must be between 0 and num_layers=2. Received: layers={layers}"
    with pytest.raises(ValueError, match=re.escape(message)):
        ProjectionHead(3)(rng.random((2, 6), "float32"), layers=layers)


def test_two_layers_are_the_papers_formula(rng):
    head = ProjectionHead(output_dim=3, num_layers=2, hidden_dim=5)
    features = rng.normal(size=(4, 6)).astype("float32")
    projections = head(features, training=False)
    w1, w2 = (head.dense_layers[i].get_weights()[0] for i in (0, 1))
    scale = 1 / np.sqrt(1 + 1e-5)  # batch norm at its initial statistics
    expected = np.maximum(features @ w1 * scale, 0) @ w2 * scale
    np.testing.assert_allclose(projections, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", [None, 1])
def test_saved_and_loaded(rng, tmp_path, layers):
    features = keras.Input((6,))
    head, _ = randomised(ProjectionHead(7, num_layers=3, hidden_dim=5), 6)
    model = keras.Model(features, head(features, layers=layers))
    model.save(tmp_path / "head.keras")
    loaded = keras.models.load_model(tmp_path / "head.keras")
    head = loaded.layers[-1]
    assert (head.output_dim, head.num_layers, head.hidden_dim) == (7, 3, 5)
    values = rng.random((2, 6)).astype("float32")
    assert loaded(values).shape == (2, 5 if layers else 7)
    np.testing.assert_allclose(loaded(values), model(values), rtol=1e-6)


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("normalization", ["batch", "group", "none"])
def test_as_a_model_and_back(rng, num_layers, normalization):
    head = ProjectionHead(8, num_layers, 16, normalization)
    head.build((None, 12))
    head.set_weights([rng.random(w.shape) for w in head.get_weights()])
    features = rng.random((4, 12), "float32")
    model = head.as_model(12)
    np.testing.assert_allclose(model(features), head(features), rtol=1e-5, atol=1e-6)
    back = ProjectionHead.from_model(model)
    assert (back.num_layers, back.name) == (num_layers, head.name)
    if num_layers:
        assert (back.output_dim, back.normalization) == (8, normalization)
    for a, b in zip(back.get_weights(), head.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(back(features), head(features))


def test_mixed_precision(rng):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    head, layers = randomised(ProjectionHead(3, num_layers=3), 6)
    features = rng.normal(size=(4, 6)).astype("float32")
    output = head(features)
    assert output.dtype == tf.bfloat16
    expected = resnet_reference.projection_head(features, layers)[-1]
    error = np.abs(tf.cast(output, "float32") - expected).max() / np.abs(expected).max()
    assert error < 0.03


@pytest.mark.parametrize("name", ["output_dim", "hidden_dim"])
def test_arguments_are_checked(name):
    message = f"`{name}` must be positive. Received: {name}=0"
    with pytest.raises(ValueError, match=re.escape(message)):
        ProjectionHead(**{name: 0})
    with pytest.raises(ValueError, match="Received: num_layers=-1"):
        ProjectionHead(num_layers=-1)
