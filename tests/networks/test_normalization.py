import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import ProjectionHead, build_encoder
from simclr_keras.errors import InputError
from simclr_keras.networks.normalization import groups, replace_batch_norm


def _encoder():
    return build_encoder("simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True)


def _norms(network, kind=keras.layers.BatchNormalization):
    return [layer for layer in network.layers if isinstance(layer, kind)]


def test_group_norm_looks_at_each_image_alone(rng):
    encoder = _encoder()
    changed = replace_batch_norm(encoder, "group")
    assert not _norms(changed)
    norms = _norms(changed, keras.layers.GroupNormalization)
    assert [n.name for n in norms] == [n.name for n in _norms(encoder)]
    images = rng.random((6, 16, 16, 3), "float32")
    whole, part = changed(images, training=True), changed(images[:2], training=True)
    np.testing.assert_allclose(whole[:2], part, atol=1e-5)
    assert (
        np.abs(encoder(images, training=True)[:2] - encoder(images[:2], training=True)).max()
        > 1e-3
    )
    # Blocks still begin as the identity: the last gamma of each is zero.
    zero = [n.name for n in norms if not n.get_weights()[0].any()]
    assert zero == [n.name for n in _norms(encoder) if not n.get_weights()[0].any()]
    assert len(zero) == 8


def test_weights_come_along(rng):
    encoder = _encoder()
    encoder.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in encoder.get_weights()])
    group = replace_batch_norm(encoder, "group")
    for old, new in zip(encoder.layers, group.layers):
        for a, b in zip(old.get_weights(), new.get_weights()):
            np.testing.assert_array_equal(a, b)


def test_frozen_batch_norm_stays_as_it_is(rng):
    encoder = _encoder()
    encoder.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in encoder.get_weights()])
    images = rng.random((4, 16, 16, 3), "float32")
    expected = encoder(images, training=False)
    frozen = replace_batch_norm(encoder, "frozen")
    np.testing.assert_allclose(frozen(images, training=True), expected, rtol=1e-4, atol=1e-4)
    assert not any(norm.trainable_variables for norm in _norms(frozen))
    assert len(frozen.trainable_variables) == 21  # the convolutions: 1 + 16 + 4 shortcuts


def test_saved_and_loaded(rng, tmp_path):
    images = rng.random((2, 16, 16, 3), "float32")
    for normalization in ("group", "frozen"):
        encoder = replace_batch_norm(_encoder(), normalization)
        encoder.save(tmp_path / "encoder.keras")
        loaded = keras.models.load_model(tmp_path / "encoder.keras", compile=False)
        np.testing.assert_allclose(
            loaded(images, training=True), encoder(images, training=True), atol=1e-6
        )


@pytest.mark.parametrize("channels, expected", [(64, 32), (48, 24), (8, 8), (7, 7), (37, 1)])
def test_groups_divide_the_channels(channels, expected):
    assert groups(channels) == expected


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="Received: normalization='layer'"):
        replace_batch_norm(_encoder(), "layer")
    with pytest.raises(ValueError, match="Received: normalization='frozen'"):
        ProjectionHead(8, normalization="frozen")


@pytest.mark.parametrize("normalization", ["group", "none"])
def test_projection_head_without_batch_norm(rng, normalization):
    head = ProjectionHead(8, num_layers=3, normalization=normalization)
    features = rng.normal(size=(6, 12)).astype("float32")
    whole, part = head(features, training=True), head(features[:1], training=True)
    np.testing.assert_allclose(whole[:1], part, atol=1e-5)
    assert not head.non_trainable_variables
    revived = ProjectionHead.from_config(head.get_config())
    assert tuple(revived(features).shape) == (6, 8) and revived.normalization == normalization
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(head(features, training=True) ** 2)
    assert all(g is not None for g in tape.gradient(loss, head.trainable_variables))
