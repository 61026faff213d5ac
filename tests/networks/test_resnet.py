import keras
import numpy as np
import pytest
import resnet_reference
import tensorflow as tf

from simclr_keras.networks.resnet import RESNET_DEPTHS, SELECTIVE_KERNEL_RATIO, simclr_resnet
from simclr_keras.networks.selective_kernel import mix_streams, pool_streams

# Millions of parameters in SimCLR v2 (arXiv 2006.10029, Table 1): (depth, width, SK) -> M.
PUBLISHED = {
    (50, 1, False): 24, (50, 1, True): 35, (50, 2, False): 94, (50, 2, True): 140,
    (101, 1, False): 43, (101, 1, True): 65, (101, 2, False): 170, (101, 2, True): 257,
    (152, 1, False): 58, (152, 1, True): 89, (152, 2, False): 233, (152, 2, True): 354,
    (152, 3, True): 795,
}  # fmt: skip


def build(depth, width=1.0, small=False, selective=False, channels=3):
    ratio = SELECTIVE_KERNEL_RATIO if selective else 0.0
    return simclr_resnet(depth, channels, width, small, ratio)


def norms(model):
    layers = model._flatten_layers(include_self=False)
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


def set_weights_by_formula(encoder, seed=0):
    """Weights that leave no two layers alike, the same on every stack."""
    rng = np.random.default_rng(seed)
    for layer in sorted(encoder.layers, key=lambda layer: layer.name):
        shapes = [tuple(w.shape) for w in layer.weights]
        if len(shapes) == 1:
            scale = np.prod(shapes[0][:-1]) ** -0.5
            layer.set_weights([rng.normal(0, scale, shapes[0])])
        elif shapes:  # gamma, beta, mean, variance
            values = rng.uniform(0.5, 1.5, (4, *shapes[0])) - [[0], [1], [1], [0]]
            layer.set_weights(list(values))


def weights_of(encoder):
    return {layer.name: layer.get_weights() for layer in encoder.layers if layer.weights}


@pytest.mark.slow
@pytest.mark.parametrize(
    "depth, small, selective",
    [
        (18, False, False),
        (34, True, False),
        (18, False, True),
        (50, False, False),
        (50, False, True),
        (50, True, True),
    ],
)
def test_outputs_are_those_of_the_network_written_in_numpy(rng, depth, small, selective):
    # Both Keras generations run this against the same numbers: their outputs are equal.
    encoder = build(depth, 0.125, small, selective, channels=2)
    set_weights_by_formula(encoder)
    outputs = [encoder.get_layer(f"block_group{i}").output for i in (1, 2, 3, 4)]
    network = keras.Model(encoder.input, [*outputs, encoder.output])
    for size in ((32, 32), (19, 26)):
        images = rng.random((2, *size, 2)).astype("float32")
        expected, groups = resnet_reference.resnet(
            images, weights_of(encoder), depth, small, selective
        )
        assert np.std(expected) > 0.01
        for ours, theirs in zip(network(images), [*groups, expected]):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.max())


def test_published_parameters_are_the_hand_counted_ones():
    counted = {key: resnet_reference.parameters(*key) / 1e6 for key in PUBLISHED}
    assert {key: round(millions) for key, millions in counted.items()} == PUBLISHED


@pytest.mark.slow
@pytest.mark.parametrize("selective", [False, True])
@pytest.mark.parametrize(
    "depth",
    [pytest.param(d, marks=pytest.mark.slow if d > 50 else ()) for d in RESNET_DEPTHS],
)
def test_parameters_are_the_hand_counted_ones(depth, selective):
    encoder = build(depth, 0.125, selective=selective)
    for layer in encoder.layers:  # see strided_convolution.py
        if isinstance(layer, keras.layers.Conv2D) and tuple(layer.kernel_size) == (1, 1):
            assert tuple(layer.strides) == (1, 1), layer.name
    assert encoder.count_params() == resnet_reference.parameters(depth, 0.125, selective)


@pytest.mark.slow
@pytest.mark.parametrize("depth, width, selective", [key for key in PUBLISHED if key[0] == 50])
def test_published_parameters(depth, width, selective):
    """Of both widths; that other depths have what is published follows from the tests above."""
    millions = build(depth, width, selective=selective).count_params() / 1e6
    assert round(millions) == PUBLISHED[depth, width, selective]


@pytest.mark.parametrize("selective", [False, True])
def test_made_for_contrast(selective):
    encoder = build(50, 0.25, selective=selective)
    for norm in norms(encoder):
        assert (norm.momentum, norm.epsilon) == (0.9, 1e-5) and norm.synchronized
    convolutions = [x for x in encoder.layers if isinstance(x, keras.layers.Conv2D)]
    # Stem (1 or 3), 3 (5 with the mixing) in each of 16 blocks, 4 shortcuts.
    assert len(convolutions) == (3 + 16 * 5 + 4 if selective else 1 + 16 * 3 + 4)
    assert not any(x.use_bias for x in convolutions)
    strided = {tuple(x.kernel_size) for x in convolutions if tuple(x.strides) == (2, 2)}
    assert strided == ({(3, 3)} if selective else {(7, 7), (3, 3)})
    for norm in norms(encoder):
        last = norm.name.endswith("_norm3")
        assert (norm.gamma.numpy() == (0 if last else 1)).all()


@pytest.mark.parametrize("selective", [False, True])
def test_blocks_begin_as_the_identity(rng, selective):
    encoder = build(50, 0.25, True, selective)
    block = keras.Model(
        encoder.input,
        [encoder.get_layer(f"block_group2_block{i}_relu").output for i in (1, 2)],
    )
    before, after = block(rng.random((2, 16, 16, 3), "float32"))
    np.testing.assert_array_equal(before, after)


def test_mixing_width_is_a_share_of_the_filters_but_at_least_32():
    # Half of the filters here, which are 16, 32, 64 and 128: the least width holds until 64.
    encoder = simclr_resnet(50, width_multiplier=0.25, selective_kernel_ratio=0.5)
    widths = [encoder.get_layer(f"block_group{g}_block1_mix1").filters for g in (1, 2, 3, 4)]
    assert widths == [32, 32, 32, 64]


def test_takes_any_size(rng):
    encoder = build(18, 0.25, True)
    for size in ((32, 32), (17, 40)):
        assert encoder(rng.random((2, *size, 3), "float32")).shape == (2, 128)


def test_small_image_stem_keeps_the_resolution():
    for selective in (False, True):
        small, large = build(18, 0.25, True, selective), build(18, 0.25, False, selective)
        assert small.get_layer("initial_conv").strides == (1, 1)
        assert "initial_max_pool" not in [layer.name for layer in small.layers]
        first = large.get_layer("stem_conv1" if selective else "initial_conv")
        assert first.strides == (2, 2) and first.kernel_size == (
            (3, 3) if selective else (7, 7)
        )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_mixing_is_a_softmax_over_the_streams(rng, run_mode, policy):
    keras.mixed_precision.set_global_policy(policy)
    streams = rng.normal(size=(2, 3, 3, 8)).astype("float32")
    logits = rng.normal(0, 3, size=(2, 1, 1, 8)).astype("float32")
    both = np.stack([logits[..., :4], logits[..., 4:]])
    weights = np.exp(both) / np.exp(both).sum(axis=0)
    expected = streams[..., :4] * weights[0] + streams[..., 4:] * weights[1]
    pooled = (streams[..., :4] + streams[..., 4:]).mean(axis=(1, 2), keepdims=True)
    tolerance = {"float32": 1e-6, "mixed_float16": 5e-3, "mixed_bfloat16": 4e-2}[policy]
    inputs = [keras.Input((3, 3, 8)), keras.Input((1, 1, 8))]
    pool = keras.Model(inputs[0], pool_streams(inputs[0], "pool"))
    mix = keras.Model(inputs, mix_streams(*inputs, "mix"))
    result = run_mode(lambda *inputs: mix(list(inputs)))(streams, logits)
    np.testing.assert_allclose(tf.cast(result, "float32"), expected, atol=tolerance)
    result = run_mode(pool)(streams)
    np.testing.assert_allclose(tf.cast(result, "float32"), pooled, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "small, selective",
    [(True, False), pytest.param(False, True, marks=pytest.mark.slow)],
)
def test_saved_and_loaded_gives_the_same_features(rng, tmp_path, small, selective):
    encoder = build(50, 0.125, small, selective)
    set_weights_by_formula(encoder)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    images = rng.random((2, 32, 32, 3)).astype("float32")
    np.testing.assert_allclose(loaded(images), encoder(images), rtol=1e-5, atol=1e-6)
    assert len(norms(loaded)) == len(norms(encoder))
    assert all(norm.synchronized for norm in norms(loaded))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"depth": 20}, r"`depth` must be one of .* Received: depth=20"),
        ({"depth": 18, "width": 0.001}, "no filter .* Received: width_multiplier=0.001"),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(**arguments)
    with pytest.raises(ValueError, match="Received: selective_kernel_ratio=2"):
        simclr_resnet(50, selective_kernel_ratio=2)
