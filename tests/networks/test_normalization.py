import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import ProjectionHead, build_encoder, nt_xent_loss
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


@pytest.mark.slow
def test_saved_and_loaded(rng, tmp_path):
    images = rng.random((2, 16, 16, 3), "float32")
    for normalization in ("group", "frozen"):
        encoder = replace_batch_norm(_encoder(), normalization)
        encoder.save(tmp_path / "encoder.keras")
        loaded = keras.models.load_model(tmp_path / "encoder.keras", compile=False)
        np.testing.assert_allclose(
            loaded(images, training=True), encoder(images, training=True), atol=1e-6
        )


@pytest.mark.parametrize(
    "channels, expected",
    [(2048, 32), (512, 32), (64, 4), (48, 3), (40, 2), (32, 2), (16, 1), (7, 1), (37, 1)],
)
def test_groups_divide_the_channels_and_hold_sixteen(channels, expected):
    assert groups(channels) == expected


@pytest.mark.slow
# Where an image has one position a group of one channel is 0, whatever goes in.
@pytest.mark.parametrize(
    "name, image_size, options",
    [
        pytest.param(  # the mixing weights are vectors
            *("simclr_resnet50", 32, {"selective_kernel": True}), marks=pytest.mark.slow
        ),
        ("simclr_resnet18", 8, {"small_image_stem": True}),  # the last maps are 1 x 1
    ],
)
def test_group_norm_lets_images_and_gradients_through(
    rng, run_mode, single_blocks, name, image_size, options
):
    encoder = build_encoder(name, image_size, width_multiplier=0.0625, **options)
    encoder = replace_batch_norm(encoder, "group")
    encoder.set_weights([w + rng.normal(0, 0.1, w.shape) for w in encoder.get_weights()])
    norms = _norms(encoder, keras.layers.GroupNormalization)
    outputs = keras.Model(encoder.input, [norm.output for norm in norms])
    images = rng.random((2, image_size, image_size, 3), "float32")

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(encoder(images, training=True)[0] ** 2)
        return tape.gradient(loss, encoder.trainable_variables)

    for norm, output in zip(norms, run_mode(outputs)(images)):
        assert np.ptp(output, axis=0).max() > 1e-3, norm.name
    for variable, gradient in zip(encoder.trainable_variables, run_mode(gradients)()):
        assert np.abs(gradient).max() > 0, variable


@pytest.mark.slow
def test_group_norm_inside_a_network_of_keras(rng):
    encoder = build_encoder("mobilenetv2", 32)
    changed = replace_batch_norm(encoder, "group")
    nested = changed.layers[-1]
    assert isinstance(nested, keras.Model) and not _norms(nested)
    for name in ("Conv1", "bn_Conv1"):
        old, new = (x.layers[-1].get_layer(name).get_weights() for x in (encoder, changed))
        for a, b in zip(old, new):
            np.testing.assert_array_equal(a, b)
    assert changed(rng.random((2, 32, 32, 3), "float32")).shape == (2, 1280)


def test_subclassed_networks_are_refused():
    class Network(keras.Model):
        pass

    with pytest.raises(InputError, match="Received: normalization='group' with Network"):
        replace_batch_norm(Network(), "group")


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="Received: normalization='layer'"):
        replace_batch_norm(_encoder(), "layer")
    with pytest.raises(ValueError, match="Received: normalization='frozen'"):
        ProjectionHead(8, normalization="frozen")


@pytest.mark.parametrize("output_dim", [8, 32, 128])
def test_projection_head_with_group_norm_tells_images_apart(rng, output_dim):
    head = ProjectionHead(output_dim, normalization="group")
    features = tf.constant(rng.normal(size=(4, 32)), tf.float32)
    with tf.GradientTape() as tape:
        projections = head(features, training=True)
        loss = tf.reduce_mean(nt_xent_loss(projections, projections[::-1]))
    assert np.ptp(projections, axis=0).max() > 0.1
    assert abs(loss - np.log(7)) > 0.01
    for variable, gradient in zip(
        head.trainable_variables, tape.gradient(loss, head.trainable_variables)
    ):
        assert np.abs(gradient).max() > 1e-6, variable


@pytest.mark.parametrize("sizes", [{"output_dim": 2}, {"output_dim": 8, "hidden_dim": 1}])
def test_projection_head_refuses_what_group_norm_makes_constant(sizes):
    with pytest.raises(ValueError, match="at least 3"):
        ProjectionHead(**sizes, normalization="group").build((None, 16))


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
