import keras
import numpy as np
import pytest

from simclr_keras import ExportedEncoder, export_encoder
from simclr_keras.errors import InputError


@pytest.fixture
def path(tiny_encoder, tmp_path):
    return export_encoder(tiny_encoder, tmp_path / "tiny")


def _classifier(path, **options):
    images = keras.Input((16, 16, 3))
    layer = ExportedEncoder(path, **options)
    model = keras.Model(images, keras.layers.Dense(3)(layer(images)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    return layer, model


@pytest.fixture
def batch(rng):
    return rng.random((6, 16, 16, 3)).astype("float32"), np.array([0, 1, 2] * 2)


@pytest.mark.slow
def test_fine_tuning_moves_every_weight(path, batch, tiny_encoder):
    layer, model = _classifier(path, trainable=True)
    expected = tiny_encoder(batch[0], training=False)
    np.testing.assert_allclose(layer(batch[0]), expected, atol=1e-5)
    assert [len(w) for w in (layer.trainable_weights, layer.non_trainable_weights)] == [3, 2]
    before = layer.get_weights()
    history = model.fit(*batch, batch_size=6, epochs=30, verbose=0).history["loss"]
    after = layer.get_weights()
    assert all((a != b).any() for a, b in zip(before, after)) and history[-1] < history[0]
    # The loaded functions compute with the weights that were trained.
    tiny_encoder.set_weights(after)
    expected = tiny_encoder(batch[0], training=False)
    np.testing.assert_allclose(layer(batch[0], training=False), expected, atol=1e-5)


def test_frozen_it_stays_as_it_is(path, batch):
    layer, model = _classifier(path)
    assert layer.trainable_weights == [] and len(layer.weights) == 5
    before = layer.get_weights()
    model.fit(*batch, epochs=2, verbose=0)
    assert all((a == b).all() for a, b in zip(before, layer.get_weights()))


def test_config_and_weights_survive_saving(path, batch, tmp_path):
    layer, model = _classifier(path, trainable=True)
    model.fit(*batch, verbose=0)
    model.save(tmp_path / "classifier.keras")
    revived = keras.models.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(
        revived.predict(batch[0], verbose=0), model.predict(batch[0], verbose=0), atol=1e-5
    )
    revived_layer = revived.layers[1]
    assert revived_layer.trainable is True and revived_layer.model_path == str(path)


def test_half_size_exports_are_not_fine_tuned(tiny_encoder, batch, tmp_path):
    path = export_encoder(tiny_encoder, tmp_path / "half", weights_dtype="bfloat16")
    with pytest.raises(InputError, match="exported at half the size"):
        ExportedEncoder(path, trainable=True)
    features = ExportedEncoder(path)(batch[0], training=True)
    np.testing.assert_allclose(features, tiny_encoder(batch[0], training=False), atol=0.01)
