"""NT-Xent over several views, against its definition in float64."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import simclr_keras as sk
from simclr_keras.objective.multi_view import contrast_views


def twin(projections, temperature, decoupled):
    """(losses, accuracies) of the images by the definition, `(N,)` each."""
    z = np.stack([np.asarray(p, np.float64) for p in projections])  # (V, N, K)
    z /= np.sqrt((z**2).sum(axis=2, keepdims=True) + 1e-24)
    views, images, _ = z.shape
    losses, hits = np.zeros(images), np.zeros(images)
    for n in range(images):
        for i in range(views):
            others = [z[v, m] for m in range(images) if m != n for v in range(views)]
            negatives = [math.exp(z[i, n] @ other / temperature) for other in others]
            for p in set(range(views)) - {i}:
                positive = z[i, n] @ z[p, n] / temperature
                total = sum(negatives) + (0 if decoupled else math.exp(positive))
                losses[n] += math.log(total) - positive
                hits[n] += math.exp(positive) > max(negatives)
    pairs = views * (views - 1)
    return losses / pairs, hits / pairs


def _random(rng, views=3, images=5, width=4):
    first = rng.normal(size=(images, width))
    return [
        tf.constant(first + 0.7 * rng.normal(size=first.shape), tf.float32)
        for _ in range(views)
    ]


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("views, images, temperature", [(2, 5, 0.5), (3, 4, 0.1), (5, 3, 1.0)])
@pytest.mark.parametrize("tile_rows", [4, 512])
def test_the_definition(rng, decoupled, views, images, temperature, tile_rows):
    projections = _random(rng, views, images)
    found = contrast_views(projections, temperature, decoupled, tile_rows=tile_rows)
    losses, hits = twin(projections, temperature, decoupled)
    np.testing.assert_allclose(found.losses, losses, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(found.accuracy, hits, atol=1e-6)
    traced = tf.function(
        lambda *z: sk.multi_view_nt_xent_loss(z, temperature, decoupled, tile_rows)
    )
    np.testing.assert_allclose(traced(*projections), losses, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_two_views_are_nt_xent(rng, decoupled):
    projections = _random(rng, 2, 6)
    loss = sk.decoupled_nt_xent_loss if decoupled else sk.nt_xent_loss
    np.testing.assert_allclose(
        sk.multi_view_nt_xent_loss(projections, 0.2, decoupled),
        loss(*projections, 0.2),
        rtol=1e-5,
    )


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("tile_rows", [4, 512])
def test_gradients_are_those_of_the_definition(rng, decoupled, tile_rows):
    """Central differences of the float64 twin, for a weighted sum of the losses."""
    projections = _random(rng, 3, 4, 3)
    weights = rng.random(4)
    with tf.GradientTape() as tape:
        tape.watch(projections)
        losses = sk.multi_view_nt_xent_loss(projections, 0.3, decoupled, tile_rows)
        total = tf.reduce_sum(losses * tf.constant(weights, tf.float32))
    gradients = tape.gradient(total, projections)
    base = [p.numpy().astype(np.float64) for p in projections]
    for view, place in ((0, (0, 0)), (1, (2, 1)), (2, (3, 2)), (1, (0, 2))):
        sides = []
        for change in (1e-5, -1e-5):
            moved = [p.copy() for p in base]
            moved[view][place] += change
            sides.append(weights @ twin(moved, 0.3, decoupled)[0])
        expected = (sides[0] - sides[1]) / 2e-5
        assert float(gradients[view][place]) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_collapse_has_a_known_loss(decoupled):
    from simclr_keras.objective.nt_xent import collapsed_loss

    equal = tf.ones((5, 3))
    found = contrast_views([equal] * 4, 0.1, decoupled)
    expected = math.log(4 * 4 + 1 - decoupled)
    np.testing.assert_allclose(found.losses, expected, rtol=1e-6)
    assert collapsed_loss(5, decoupled, views=4) == pytest.approx(expected)
    np.testing.assert_array_equal(found.accuracy, 0)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_single_image_has_no_negatives(rng, decoupled):
    projections = _random(rng, 3, 1)
    with tf.GradientTape() as tape:
        tape.watch(projections)
        loss = sk.multi_view_nt_xent_loss(projections, 0.1, decoupled)
    gradients = tape.gradient(loss, projections)
    np.testing.assert_array_equal(loss, [0.0])
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, np.zeros(gradient.shape))


def test_zeros_and_half_precision_are_finite():
    zeros = [tf.zeros((3, 4), tf.bfloat16)] * 3
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        loss = sk.multi_view_nt_xent_loss(zeros, 0.1)
    assert loss.dtype == tf.float32 and np.all(np.isfinite(loss))
    for gradient in tape.gradient(loss, zeros):
        assert np.all(np.isfinite(tf.cast(gradient, tf.float32)))


@pytest.mark.slow
def test_two_replicas_are_one(run_python):
    """Losses and gradients, across the replicas of a process of its own."""
    output = run_python(
        """
import json, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from simclr_keras.objective.multi_view import contrast_views
random = np.random.default_rng(0)
views = random.normal(size=(3, 8, 6)).astype("float32")
weights = random.random(8).astype("float32")

def gradients(views, weights, decoupled, **options):
    views = tf.unstack(views)
    with tf.GradientTape() as tape:
        tape.watch(views)
        found = contrast_views(views, 0.2, decoupled, **options)
        total = tf.reduce_sum(found.losses * weights)
    return found.losses, found.accuracy, tf.stack(tape.gradient(total, views), axis=1)

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
parts = strategy.experimental_distribute_values_from_function(
    lambda context: np.split(views, 2, axis=1)[context.replica_id_in_sync_group]
)
shares = strategy.experimental_distribute_values_from_function(
    lambda context: np.split(weights, 2)[context.replica_id_in_sync_group]
)
differences = []
for decoupled in (False, True):
    step = lambda z, w: gradients(z, w, decoupled, across_replicas=True)
    two = tf.function(lambda z, w: strategy.run(step, (z, w)))(parts, shares)
    one = gradients(tf.constant(views), weights, decoupled)
    for a, b in zip(two, one):
        whole = np.concatenate(strategy.experimental_local_results(a))
        differences.append(float(np.abs(whole - b.numpy()).max()))
print(json.dumps(differences))
"""
    )
    assert max(json.loads(output.splitlines()[-1])) < 5e-6


def test_wrong_arguments():
    z = tf.ones((3, 4))
    with pytest.raises(ValueError, match="two or more tensors of the same shape"):
        sk.multi_view_nt_xent_loss([z])
    with pytest.raises(ValueError, match="two or more tensors of the same shape"):
        sk.multi_view_nt_xent_loss([z, z, tf.ones((4, 4))])
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        sk.multi_view_nt_xent_loss([z, z], temperature=0.0)
