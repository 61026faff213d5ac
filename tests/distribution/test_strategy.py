import json

import pytest
import tensorflow as tf

from simclr_keras.distribution.cluster import find_cluster
from simclr_keras.distribution.strategy import (
    check_divides,
    choose_local_strategy,
    choose_strategy,
)
from simclr_keras.errors import InputError


def test_one_device_without_gpus():
    assert choose_strategy("auto").num_replicas_in_sync == 1
    assert choose_strategy("one") is tf.distribute.get_strategy()


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="Received: strategy='many'"):
        choose_strategy("many")


def test_what_trains_in_one_process_refuses_a_cluster(monkeypatch):
    with pytest.raises(InputError, match="Received: strategy='multi-worker'"):
        choose_local_strategy("multi-worker")
    cluster = {"worker": ["a:1", "b:1"]}
    task = {"type": "worker", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))
    with pytest.raises(
        InputError, match="one of 2 workers, but this command trains in a single"
    ):
        choose_local_strategy("auto")
    assert choose_local_strategy("one").num_replicas_in_sync == 1


def test_batch_must_divide():
    class Two:
        num_replicas_in_sync = 2

    check_divides(8, Two)
    with pytest.raises(InputError, match="batch of 7 does not divide over 2 replicas"):
        check_divides(7, Two)


@pytest.mark.slow
def test_jit_under_several_replicas_is_refused(run_python):
    script = """
import tensorflow as tf, keras, simclr_keras as sk
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from simclr_keras.distribution.cluster import find_cluster
from simclr_keras.distribution.strategy import choose_strategy
with choose_strategy("mirrored").scope():
    encoder = sk.build_encoder("simclr_resnet18", 16, width_multiplier=0.125)
    model = sk.SimCLR(encoder, sk.ProjectionHead(8), sk.SimCLRAugmenter(16))
    try:
        model.compile("sgd", jit_compile=True)
    except ValueError as error:
        print(error)
"""
    assert "jit_compile=True with 2 replicas" in run_python(script)


def _tf_config(index, kind="worker", **jobs):
    cluster = jobs or {"worker": ["a:1", "b:1"]}
    return {
        "TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})
    }


def test_cluster_from_tf_config():
    assert find_cluster({}) is None
    assert find_cluster(_tf_config(1)) == (("a:1", "b:1"), 1)
    # The chief is the first of all, and the workers follow it.
    jobs = {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    assert find_cluster(_tf_config(0, "chief", **jobs)) == (("c:1", "a:1", "b:1"), 0)
    assert find_cluster(_tf_config(1, "worker", **jobs)) == (("c:1", "a:1", "b:1"), 2)


@pytest.mark.parametrize(
    "environment, text",
    [
        ({"TF_CONFIG": "worker0"}, "TF_CONFIG must be JSON.*Received: TF_CONFIG=worker0"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "TF_CONFIG must be JSON"),
        (_tf_config(2), "has 2 workers, but the index of this one is out of range"),
        (_tf_config(0, "ps", ps=["a:1"], worker=["b:1"]), "chief and worker only"),
    ],
)
def test_broken_tf_config(environment, text):
    with pytest.raises(InputError, match=text):
        find_cluster(environment)


def _slurm(**changes):
    return {
        "SLURM_STEP_NUM_TASKS": "5",
        "SLURM_PROCID": "3",
        "SLURM_JOB_ID": "1234567",
        "SLURM_STEP_NODELIST": "node[2,09-10],login",
        "SLURM_STEP_TASKS_PER_NODE": "1(x3),2",
        **changes,
    }


def test_cluster_from_slurm():
    # Port: 20000 + 10 * (1234567 mod 1000). Ranks go by the list's order, not the alphabet's.
    addresses, index = find_cluster(_slurm())
    assert addresses == tuple(
        ["node2:25670", "node09:25670", "node10:25670", "login:25670", "login:25671"]
    )
    assert index == 3
    assert find_cluster(_slurm(SLURM_STEP_NUM_TASKS="1")) is None
    assert find_cluster({**_slurm(), **_tf_config(0)}) == (("a:1", "b:1"), 0)


def test_broken_slurm():
    with pytest.raises(InputError, match="5 tasks but lists 4"):
        find_cluster(_slurm(SLURM_STEP_TASKS_PER_NODE="1(x4)"))
    with pytest.raises(InputError, match="'SLURM_PROCID'.*srun"):
        find_cluster({k: v for k, v in _slurm().items() if k != "SLURM_PROCID"})


def test_multi_worker_without_a_cluster_says_what_to_set(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match="but TF_CONFIG is not set.*Set TF_CONFIG"):
        choose_strategy("multi-worker")


def test_tpu_without_a_tpu_says_so(monkeypatch):
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(InputError, match="There is no TPU named 'local'"):
        choose_strategy("tpu")


@pytest.mark.slow
def test_rows_of_the_replicas_make_the_global_batch(run_python):
    script = """
import tensorflow as tf
from simclr_keras.data.datasets import load_source, pretraining_dataset
from simclr_keras.distribution.cluster import find_cluster
from simclr_keras.distribution.strategy import distribute_rows
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(4)])
source = load_source("digits", "all")
def dataset_of(first, rows):
    return pretraining_dataset(source, 8, seed=3, first_step=2, num_steps=5,
                               with_labels=True, first_position=first, rows=rows)
seen = 0
for whole, parts in zip(dataset_of(0, 8), distribute_rows(strategy, 8, dataset_of)):
    for a, b in zip(whole, parts):
        locals_ = strategy.experimental_local_results(b)
        assert [len(x) for x in locals_] == [2] * 4
        tf.debugging.assert_equal(a, tf.concat(locals_, 0))
    seen += 1
print("steps", seen)
"""
    assert "steps 3" in run_python(script)
