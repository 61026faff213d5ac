"""Two replicas train as one does; each strategy in a process of its own."""

import json

import numpy as np
import pytest

SCRIPT = """
import json, sys
import numpy as np, tensorflow as tf, keras
import simclr_keras as sk

replicas, optimizer, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.get_strategy()
if replicas == 2:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
images = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), "uint8")
labels = np.arange(24) % 3 - 1
if what == "changed":  # the last image of the second replica's half
    images[7] = 255 - images[7]
with strategy.scope():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, use_bias=False, kernel_regularizer="l2")(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    encoder = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    model = sk.SimCLR(
        encoder, sk.ProjectionHead(8), sk.SimCLRAugmenter(16), probe=keras.layers.Dense(2)
    )
    made = {"sgd": lambda: keras.optimizers.SGD(0.01), "lars": lambda: sk.LARS(0.02, weight_decay=1e-3)}
    model.compile(optimizer=made[optimizer]())
if what == "uneven":
    images, labels = images[:7], labels[:7]
dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
try:
    logs = model.fit(dataset, epochs=1, verbose=0).history
    # Not model.get_weights(): Keras 2.15 counts the sums inside metrics among them.
    networks = (model.encoder, model.projection_head, model.probe)
    weights = [w.tolist() for network in networks for w in network.get_weights()]
    print(json.dumps({"logs": logs, "weights": weights}))
except Exception as error:
    print(json.dumps({"error": str(error)}))
"""


def _run(run_python, *arguments):
    return json.loads(run_python(SCRIPT, *arguments).splitlines()[-1])


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_two_replicas_train_as_one(run_python, optimizer):
    one, two = (_run(run_python, n, optimizer, "plain") for n in ("1", "2"))
    assert len(one["weights"]) == len(two["weights"])
    for a, b in zip(one["weights"], two["weights"]):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for name, values in one["logs"].items():
        assert values == pytest.approx(two["logs"][name], abs=1e-4), name


def test_an_image_of_one_replica_changes_the_loss_of_all(run_python):
    plain, changed = (_run(run_python, "2", "sgd", what) for what in ("plain", "changed"))
    assert abs(plain["logs"]["loss"][0] - changed["logs"]["loss"][0]) > 1e-4


def test_an_uneven_batch_is_a_clear_error(run_python):
    result = _run(run_python, "2", "sgd", "uneven")
    assert "does not divide into 2 equal parts" in result["error"]
