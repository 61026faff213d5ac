import math
import re

import numpy as np
import pytest
import reference
import tensorflow as tf

from simclr_keras import NTXentLoss, decoupled_nt_xent_loss, nt_xent_loss
from simclr_keras.objective.contrast import contrast


def contrastive_accuracy(z1, z2):
    return contrast(z1, z2, temperature=1.0).accuracy


def _projections(rng, pairs, width):
    return rng.normal(size=(2, pairs, width)).astype("float32")


@pytest.mark.parametrize("pairs, width", [(1, 3), (2, 2), (5, 7), (16, 4)])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_equals_the_plain_loops_of_the_paper(rng, run_mode, pairs, width, temperature):
    z1, z2 = _projections(rng, pairs, width)
    loss = run_mode(nt_xent_loss)(z1, z2, temperature)
    np.testing.assert_allclose(
        loss, reference.nt_xent(z1, z2, temperature), rtol=2e-5, atol=1e-6
    )


def test_two_pairs_by_hand():
    # Both views of pair 1 are (1, 0), both of pair 2 are (0, 1); temperature 1. Each view has
    # one candidate at cosine 1 (its partner) and two at 0: -ln(e / (e + 2)) = ln(1 + 2/e).
    z = tf.eye(2)
    np.testing.assert_allclose(
        nt_xent_loss(z, z, 1.0), [math.log(1 + 2 / math.e)] * 2, rtol=1e-6
    )


@pytest.mark.parametrize("pairs", [2, 8, 100])
def test_collapse_is_ln_of_2n_minus_1(pairs):
    z = np.ones((pairs, 16), "float32")
    np.testing.assert_allclose(nt_xent_loss(z, 3 * z, 0.1), math.log(2 * pairs - 1), rtol=1e-5)


def test_same_view_negatives_count():
    # With negatives of the other view only, moving z1[1] could not change pair 0's loss much.
    z1 = np.array([[1, 0], [0, 1]], "float32")
    z2 = np.array([[1, 0], [0, 1]], "float32")
    far = nt_xent_loss(z1, z2, 0.5)[0]
    z1[1] = [0.99, 0.1]
    assert nt_xent_loss(z1, z2, 0.5)[0] > far + 0.3


def test_gradient_equals_differences_of_the_twin(rng):
    z1, z2 = _projections(rng, 3, 4)
    variable = tf.Variable(z1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(nt_xent_loss(variable, z2, 0.5))
    gradient = tape.gradient(loss, variable).numpy()
    for index in np.ndindex(*z1.shape):
        step = np.zeros_like(z1, dtype="float64")
        step[index] = 1e-5
        up = reference.nt_xent(z1 + step, z2, 0.5).sum()
        down = reference.nt_xent(z1 - step, z2, 0.5).sum()
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(rng, dtype):
    z1, z2 = (tf.cast(z, dtype) for z in _projections(rng, 6, 8))
    loss = nt_xent_loss(z1, z2, 0.01)
    assert loss.dtype == tf.float32
    expected = nt_xent_loss(tf.cast(z1, tf.float32), tf.cast(z2, tf.float32), 0.01)
    np.testing.assert_array_equal(loss, expected)


def test_zero_vectors_and_small_temperature_have_finite_gradients(rng):
    z1, z2 = _projections(rng, 4, 3)
    z1[0] = 0
    variables = [tf.Variable(z1), tf.Variable(z2)]
    with tf.GradientTape() as tape:
        loss = nt_xent_loss(*variables, 0.01)
    assert np.isfinite(loss).all()
    for gradient in tape.gradient(loss, variables):
        assert np.isfinite(gradient).all()


def _whole(z1, z2, temperature, decoupled):
    """The unstreamed loss in float64, for automatic differentiation."""
    views = tf.math.l2_normalize(tf.cast(tf.concat([z1, z2], 0), tf.float64), 1, 1e-12)
    logits = tf.matmul(views, views, transpose_b=True) / temperature
    positives = tf.linalg.diag_part(tf.roll(logits, len(z1), 1))
    logits = tf.linalg.set_diag(logits, tf.fill([len(logits)], tf.cast(-np.inf, tf.float64)))
    if decoupled:
        partner = tf.one_hot((np.arange(2 * len(z1)) + len(z1)) % (2 * len(z1)), 2 * len(z1))
        logits = tf.where(partner > 0, tf.cast(-np.inf, tf.float64), logits)
    losses = tf.reduce_logsumexp(logits, 1) - positives
    return (losses[: len(z1)] + losses[len(z1) :]) / 2


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize(
    "pairs, width, tile, temperature, mode",
    [
        (2, 3, 1, 1.0, "eager"),
        (9, 5, 4, 0.1, "traced"),
        (33, 16, 16, 0.01, "traced"),
        (64, 8, 999, 0.1, "eager"),
        (33, 16, 16, 0.1, "xla"),
        (9, 5, 4, 0.01, "xla"),
    ],
)
def test_tiles_give_the_loss_and_gradient_of_the_whole(
    rng, pairs, width, tile, temperature, decoupled, mode
):
    z1, z2 = (tf.constant(z) for z in _projections(rng, pairs, width))
    # The gradient must be right for any weighting of the pairs, also a negative one.
    weights = tf.constant(rng.normal(size=pairs), tf.float32)
    loss = decoupled_nt_xent_loss if decoupled else nt_xent_loss

    def value_and_gradients(z1, z2):
        with tf.GradientTape() as tape:
            tape.watch([z1, z2])
            losses = loss(z1, z2, temperature, tile_rows=tile)
            total = tf.reduce_sum(losses * weights)
        return losses, *tape.gradient(total, [z1, z2])

    if mode != "eager":
        value_and_gradients = tf.function(value_and_gradients, jit_compile=mode == "xla")
    losses, *gradients = value_and_gradients(z1, z2)
    with tf.GradientTape() as tape:
        tape.watch([z1, z2])
        expected = _whole(z1, z2, temperature, decoupled)
        total = tf.reduce_sum(expected * tf.cast(weights, tf.float64))
    # float32 knows a cosine to 1e-7, and so a similarity to 1e-7 / temperature.
    limit = 4e-7 / temperature
    np.testing.assert_allclose(losses, expected, atol=limit, rtol=1e-6)
    for ours, theirs in zip(gradients, tape.gradient(total, [z1, z2])):
        scale = float(tf.reduce_max(tf.abs(theirs)))
        np.testing.assert_allclose(ours, theirs, atol=10 * limit * scale)


def test_streamed_equals_unstreamed_to_1e_6(rng):
    z1, z2 = (tf.constant(z) for z in _projections(rng, 1024, 64))
    results = []
    for tile in (100, 2048):  # 21 tiles, the last one padded, against one
        with tf.GradientTape() as tape:
            tape.watch([z1, z2])
            loss = tf.reduce_mean(nt_xent_loss(z1, z2, 0.1, tile_rows=tile))
        results.append([loss, *tape.gradient(loss, [z1, z2])])
    for streamed, whole in zip(*results):
        scale = float(tf.reduce_max(tf.abs(whole)))
        np.testing.assert_allclose(streamed, whole, atol=1e-6 * scale)


@pytest.mark.parametrize("mode", ["eager", "traced"])
def test_decoupled_equals_plain_loops(rng, mode):
    z1, z2 = _projections(rng, 6, 4)
    loss = decoupled_nt_xent_loss if mode == "eager" else tf.function(decoupled_nt_xent_loss)
    expected = reference.nt_xent(z1, z2, 0.2, decoupled=True)
    np.testing.assert_allclose(loss(z1, z2, 0.2), expected, rtol=2e-5)
    mean = NTXentLoss(0.2, decoupled=True)(z1, z2)
    assert float(mean) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("loss", [decoupled_nt_xent_loss, NTXentLoss(decoupled=True)])
def test_decoupled_needs_a_negative(loss):
    with pytest.raises(ValueError, match=r"at least 2 pairs.*\(1, 3\)"):
        loss(tf.ones((1, 3)), tf.ones((1, 3)))


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize("decoupled", [False, True])
def test_batch_of_unknown_size(rng, decoupled, xla):
    shapes = [tf.TensorSpec([None, 4])] * 2
    loss = decoupled_nt_xent_loss if decoupled else nt_xent_loss

    @tf.function(input_signature=shapes, jit_compile=xla)
    def value_and_gradients(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            losses = loss(a, b, 0.5, tile_rows=4)
        return losses, *tape.gradient(losses, [a, b])

    for pairs in (2, 7):
        z1, z2 = _projections(rng, pairs, 4)
        expected = reference.nt_xent(z1, z2, 0.5, decoupled)
        losses = value_and_gradients(z1, z2)[0]
        np.testing.assert_allclose(losses, expected, rtol=2e-5, atol=1e-6)
    for value in value_and_gradients(*_projections(rng, 1, 4)):
        np.testing.assert_allclose(value, 0, atol=1e-6)


def test_a_projection_that_is_no_number_shows(rng):
    z1, z2 = _projections(rng, 4, 3)
    z1[2, 1] = np.nan
    assert np.isnan(nt_xent_loss(z1, z2, 0.1)).all()


def test_loss_object_is_the_mean_and_keeps_its_arguments(rng):
    z1, z2 = _projections(rng, 5, 4)
    loss = NTXentLoss(temperature=0.3, decoupled=True)
    revived = NTXentLoss.from_config(loss.get_config())
    assert revived.temperature == 0.3 and revived.decoupled is True
    revived = NTXentLoss(temperature=0.3)
    expected = reference.nt_xent(z1, z2, 0.3).mean()
    assert float(revived(z1, z2)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_temperature_must_be_positive(temperature):
    text = re.escape(f"`temperature` must be positive. Received: temperature={temperature}")
    with pytest.raises(ValueError, match=text):
        NTXentLoss(temperature)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"the same shape \(N, K\).*\(4, 2\).*\(3, 2\)"):
        nt_xent_loss(tf.ones((4, 2)), tf.ones((3, 2)))


@pytest.mark.parametrize("pairs", [2, 9, 300])  # 600 views are two tiles
def test_contrastive_accuracy_over_all_other_views(rng, run_mode, pairs):
    z1 = rng.normal(size=(pairs, 3)).astype("float32")
    z2 = z1 + 0.7 * rng.normal(size=(pairs, 3)).astype("float32")
    accuracy = tf.reduce_mean(run_mode(contrastive_accuracy)(z1, z2))
    assert float(accuracy) == pytest.approx(reference.contrastive_accuracy(z1, z2))


def test_a_single_pair_is_its_own_nearest(rng, run_mode):
    z1, z2 = _projections(rng, 1, 3)
    np.testing.assert_array_equal(run_mode(contrastive_accuracy)(z1, z2), [1.0])


def test_contrastive_accuracy_counts_same_view_candidates():
    # Each first view's nearest is the other first view: zero for first views, one for second.
    z1 = np.array([[1.0, 0.1], [1.0, -0.1]], "float32")
    z2 = np.array([[0.2, 1.0], [0.2, -1.0]], "float32")
    np.testing.assert_array_equal(contrastive_accuracy(z1, z2), [0.5, 0.5])


def test_collapse_has_no_contrastive_accuracy():
    np.testing.assert_array_equal(contrastive_accuracy(tf.ones((4, 2)), tf.ones((4, 2))), 0)
