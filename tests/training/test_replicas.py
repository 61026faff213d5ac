"""Two replicas train as one does; in processes of their own."""

import concurrent.futures
import json

import keras
import numpy as np
import pytest
from conftest import TWO_DEVICES
from processes import python

from simclr_keras.keras_versions import KERAS_3

TRAIN = (
    TWO_DEVICES
    + """
from tests.mirrored import Mirrored

made = {
    "sgd": lambda: keras.optimizers.SGD(0.01),
    "lars": lambda: sk.LARS(0.02, weight_decay=1e-3),
    "clipped": lambda: keras.optimizers.SGD(0.1, momentum=0.9, global_clipnorm=0.02),
}

def build(optimizer, what):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, kernel_regularizer="l2")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    # One case is enough to see whether replicas draw what one draws.
    augmenter = sk.SimCLRAugmenter(16, views=3) if what == "views" else Mirrored(16)
    model = sk.SimCLR(encoder, sk.ProjectionHead(8), augmenter, probe=keras.layers.Dense(2))
    model.compile(optimizer=made[optimizer]())
    return model

def train(replicas, optimizer, what):
    images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), "uint8")
    labels = np.arange(24) % 3 - 1
    if what == "changed":  # the last image of the second replica's half
        images[7] = 255 - images[7]
    if what == "uneven":
        images, labels = images[:7], labels[:7]
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    with strategies[replicas].scope():
        model = build(optimizer, what)
    try:
        logs = model.fit(dataset, epochs=1, verbose=0).history
    except Exception as error:
        return {"error": str(error)}
    # Not model.get_weights(): Keras 2.15 counts the sums inside metrics among them.
    networks = (model.encoder, model.projection_head, model.probe)
    weights = [w.tolist() for network in networks for w in network.get_weights()]
    return {"logs": logs, "weights": weights}

print(json.dumps([train(*case) for case in json.loads(sys.argv[1])]))
"""
)


COMPARED = [("sgd", "views"), ("lars", "plain"), ("clipped", "plain")]
# (replicas, optimizer, what)
DISTURBED = [(2, "lars", "changed"), (2, "lars", "uneven")]


@pytest.fixture(scope="module")
def trained():
    """case -> its logs and weights, or its error; one process trains all."""
    cases = [(n, *case) for case in COMPARED for n in (1, 2)] + DISTURBED
    return dict(zip(cases, json.loads(python(TRAIN, json.dumps(cases)).splitlines()[-1])))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer, what", COMPARED)
def test_two_replicas_train_as_one(trained, optimizer, what):
    one, two = (trained[n, optimizer, what] for n in (1, 2))
    assert len(one["weights"]) == len(two["weights"]) > 8
    # Batch norm magnifies what rounding does to the sums over 24 views.
    for a, b in zip(one["weights"], two["weights"]):
        np.testing.assert_allclose(a, b, atol=2e-5 if what == "views" else 1e-5)
    for name, values in one["logs"].items():
        assert values == pytest.approx(two["logs"][name], abs=1e-4), name


@pytest.mark.slow
def test_an_image_of_one_replica_changes_the_loss_of_all_and_an_uneven_batch_is_an_error(
    trained,
):
    plain, changed, uneven = (
        trained[2, "lars", what] for what in ("plain", "changed", "uneven")
    )
    assert abs(plain["logs"]["loss"][0] - changed["logs"]["loss"][0]) > 1e-4
    assert "does not divide into 2 equal parts" in uneven["error"]


CLIPPING = (
    TWO_DEVICES
    + """
from simclr_keras import LARS
from simclr_keras.keras_versions import KERAS_3, apply_gradients, build_optimizer, lamb, scaled

shares = {  # of each replica in the gradients of two variables; they partly cancel
    "gradient": (([3.0, 1.0], 2.0), ([-1.0, 4.0], -5.0)),
    "one that is infinite": (([3.0, 1.0], 2.0), ([-1.0, np.inf], -5.0)),
}
SGD = keras.optimizers.SGD

def scale(optimizer):
    return keras.mixed_precision.LossScaleOptimizer(optimizer, initial_scale=64.0)

def clipped_lamb():
    optimizer = lamb(0.1)
    optimizer.clipvalue = 1.0
    return optimizer

optimizers = {
    "plain": lambda: SGD(0.1),
    "clipnorm": lambda: SGD(0.1, clipnorm=1.0),
    "clipvalue": lambda: SGD(0.1, clipvalue=1.0),
    "global_clipnorm": lambda: SGD(0.1, global_clipnorm=1.0),
    "LARS": lambda: LARS(0.1, global_clipnorm=1.0),
    "loss scale": lambda: scale(SGD(0.1, momentum=0.9, clipvalue=1.0)),
}
try:
    clipped_lamb()
    optimizers["LAMB"] = clipped_lamb
except ValueError:
    pass  # Keras 2.15 without Addons
if not KERAS_3:
    optimizers["legacy"] = lambda: keras.optimizers.legacy.SGD(0.1, global_clipnorm=1.0)

def train(make, shares):
    variables = [tf.Variable([1.0, 2.0]), tf.Variable(3.0)]
    optimizer = make()
    build_optimizer(optimizer, variables)

    @tf.function
    def step():
        def of_replica():
            context = tf.distribute.get_replica_context()
            place = tf.cast(context.replica_id_in_sync_group, tf.int32)
            gradients = [tf.gather(np.stack(parts), place) for parts in zip(*shares)]
            gradients = [scaled(optimizer, g) for g in gradients]
            return apply_gradients(optimizer, gradients, variables)
        strategy = tf.distribute.get_strategy()
        return strategy.experimental_local_results(strategy.run(of_replica))[-1]

    norms = [float(step()), float(step())]
    return [*(v.numpy().tolist() for v in variables), norms]

results = {}
for name, make in optimizers.items():
    for case, parts in shares.items():
        if "infinite" in case and name != "loss scale":
            continue
        whole = [tuple(np.sum(part, axis=0, dtype="float32") for part in zip(*parts))]
        with strategies[2].scope():
            two = train(make, [tuple(np.float32(p) for p in part) for part in parts])
        results[f"{name}, {case}"] = train(make, whole), two
print(json.dumps(results))
"""
)


def test_gradients_are_summed_before_they_are_clipped(run_python):
    results = json.loads(run_python(CLIPPING).splitlines()[-1])
    assert len(results) >= 7
    for name, (one, two) in results.items():
        for a, b in zip(one, two):
            np.testing.assert_allclose(b, a, atol=1e-6, err_msg=name)
    # A step whose gradient is not finite on any replica is left out.
    assert results["loss scale, one that is infinite"][1][:2] == [[1.0, 2.0], 3.0]
    # The norm is that of the sum, (2, 5, -3), and without loss scaling.
    for name in ("plain", "loss scale"):
        np.testing.assert_allclose(results[f"{name}, gradient"][1][2], np.sqrt([38, 38]))


VALIDATE = (
    TWO_DEVICES
    + """
images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8")
images = np.concatenate([images, images, images[:4]])
batches = tf.data.Dataset.from_tensor_slices(images).batch(8)

def losses(replicas, steps_per_execution):
    with strategies[replicas].scope():
        keras.utils.set_random_seed(0)
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
        encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
        crops = sk.SimCLRAugmenter(16, 0, blur=False, grayscale_probability=0)
        model = sk.SimCLR(encoder, sk.ProjectionHead(8), crops)
        model.compile(keras.optimizers.SGD(0.0), steps_per_execution=steps_per_execution)
    history = model.fit(batches.take(2), validation_data=batches, verbose=0).history
    first, two, *all = (
        model.evaluate(batches.take(n), verbose=0, return_dict=True)["loss"]
        for n in (1, 2, 3, 3)
    )
    return {"fitted": history["val_loss"][0], "first": first, "two": two, "all": all}

print(json.dumps([losses(replicas, int(sys.argv[1])) for replicas in (1, 2)]))
"""
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps_per_execution",
    [
        "1",
        pytest.param(
            "2",
            marks=pytest.mark.skipif(
                KERAS_3, reason="Keras 3 runs no several steps at a time on replicas"
            ),
        ),
    ],
)
def test_replicas_validate_on_the_views_of_one(run_python, steps_per_execution):
    one, two = json.loads(run_python(VALIDATE, steps_per_execution).splitlines()[-1])
    for name, value in one.items():
        assert two[name] == pytest.approx(value, rel=1e-5), name
    for found in (one, two):
        assert abs(found["two"] - found["first"]) > 1e-4  # same images, other places
        assert found["all"][0] == found["all"][1] == pytest.approx(found["fitted"], rel=1e-6)


NETWORKS = """
import json, sys
import keras, numpy as np, tensorflow as tf
import simclr_keras as sk
from simclr_keras.distribution.strategy import choose_strategy, distribute_rows, is_chief
from simclr_keras.networks.resnet import BLOCK_GROUPS
from simclr_keras.training.optimizers import make_optimizer
from simclr_keras.training.verify_replicas import WEIGHT_DECAYS, with_l2_penalty
from tests.mirrored import Mirrored

where, cases, folder = sys.argv[1:]
# Optimizing the graphs is a third of the time, and makes no difference to what is compared.
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
if where == "workers":
    strategies = {"workers": choose_strategy("multi-worker")}
else:
    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * int(where)
    tf.config.set_logical_device_configuration(cpu, devices)
    strategies = {where: choose_strategy("mirrored")}
    if where == "2":
        strategies["1"] = choose_strategy("one")
draw = np.random.default_rng(0)
images = draw.integers(0, 256, (5 * 16, 8, 8, 3)).repeat(4, 1).repeat(4, 2).astype("uint8")
labels = draw.integers(-1, 3, 5 * 16)

def build(network):
    # The first block with a stride: deeper networks repeat what is in it.
    BLOCK_GROUPS[18] = ((0, 1, 0, 0), False)
    if network == "resnet50":
        network = keras.models.load_model(f"{folder}/resnet50.keras")
    encoder = sk.build_encoder(network, 32)
    encoder = with_l2_penalty(encoder, 1e-4)
    for layer in encoder._flatten_layers():
        # Blocks that begin as the identity, like those of the SimCLR ResNets. As Keras draws it
        # resnet50 magnifies rounding: one replica is 5e-2 apart after 5 steps of 1e-6 if its
        # weights began a rounding error apart.
        if layer.name.endswith("_3_bn"):
            gamma, *others = layer.get_weights()
            layer.set_weights([0.0 * gamma, *others])
    return encoder

def rows_of(first, rows):
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)
    return batches.map(lambda *batch: tuple(part[first : first + rows] for part in batch))

def train(replicas, strategy, network, optimizer, rate):
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = sk.SimCLR(
            build(network),
            sk.ProjectionHead(32),
            Mirrored(32),
            temperature=0.5,
            probe=keras.layers.Dense(3),
        )
        decay = WEIGHT_DECAYS[optimizer]
        model.compile(make_optimizer(optimizer, rate, decay, model.trainable_variables))
    networks = (model.encoder, model.projection_head, model.probe)

    def weights():
        return [w for network in networks for w in network.get_weights()]

    trainable = {id(v) for v in model.trainable_variables}
    trains = [id(v) in trainable for network in networks for v in network.weights]
    start = weights()
    dataset = distribute_rows(strategy, 16, rows_of)
    logs = model.fit(dataset, steps_per_epoch=1, epochs=5, shuffle=False, verbose=0).history
    trained = weights()  # on every worker
    assert strategy.num_replicas_in_sync == {"workers": 2}.get(replicas) or int(replicas)
    if is_chief(strategy):
        moved = [np.abs(a - b).max() for a, b, trains in zip(start, trained, trains) if trains]
        file = f"{folder}/{network}-{optimizer}-{replicas}.npz"
        np.savez(file, *trained, moved=max(moved), **{f"log_{k}": v for k, v in logs.items()})

for case in json.loads(cases):
    for replicas, strategy in strategies.items():
        train(replicas, strategy, *case)
"""


def _start_of_resnet50():
    """All kinds of its layers: the stem, and the first block with a stride."""
    network = keras.applications.ResNet50(include_top=False, weights=None)
    pooled, start, end = (
        network.get_layer(name).output
        for name in ("pool1_pool", "conv2_block3_out", "conv3_block1_out")
    )
    inputs = keras.Input((32, 32, 3))
    x = keras.Model(network.input, pooled)(keras.layers.Rescaling(255.0)(inputs))
    x = keras.layers.Conv2D(start.shape[-1], 1)(x)  # the blocks between are left out
    x = keras.Model(start, end)(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


# No LAMB on resnet50: Adam-like steps magnify the noise gradient of its biases. Each optimizer
# meets each number of replicas, and so does each network.
CASES = [
    ("resnet50", "lars", 3e-5),
    ("simclr_resnet18", "sgd", 5e-4),
    ("simclr_resnet18", "lamb", 5e-5),
]


@pytest.mark.slow
def test_replicas_and_workers_train_networks_as_one(tmp_path, run_python, worker_environments):
    _start_of_resnet50().save(tmp_path / "resnet50.keras")
    # Two mirrored strategies in one process get in each other's way.
    for where, environments in (("2", [{}]), ("4", [{}]), ("workers", worker_environments())):
        with concurrent.futures.ThreadPoolExecutor() as workers:
            arguments = (NETWORKS, where, json.dumps(CASES), str(tmp_path))
            runs = [workers.submit(run_python, *arguments, env=env) for env in environments]
            for run in runs:
                run.result()
    for network, optimizer, _ in CASES:
        one = dict(np.load(tmp_path / f"{network}-{optimizer}-1.npz"))
        assert one["moved"] > 2e-5, (network, optimizer)  # twice what may differ
        for replicas in ("2", "4", "workers"):
            several = dict(np.load(tmp_path / f"{network}-{optimizer}-{replicas}.npz"))
            assert several.keys() == one.keys() and len(one) > 25
            for key, value in one.items():
                tolerance = 1e-4 if key.startswith("log_") else 1e-5
                # Pixels of 0-255 make moving statistics of thousands.
                scale = max(np.abs(value).max(), 1.0)
                difference = np.abs(several[key] - value).max()
                assert difference <= tolerance * scale, (network, optimizer, replicas, key)
