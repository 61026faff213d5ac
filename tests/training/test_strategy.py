import pytest
import tensorflow as tf

from simclr_keras.errors import InputError
from simclr_keras.training.strategy import check_divides, choose_strategy


def test_one_device_without_gpus():
    assert choose_strategy("auto").num_replicas_in_sync == 1
    assert choose_strategy("one") is tf.distribute.get_strategy()


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="Received: strategy='many'"):
        choose_strategy("many")


def test_batch_must_divide():
    class Two:
        num_replicas_in_sync = 2

    check_divides(8, Two)
    with pytest.raises(InputError, match="batch of 7 does not divide over 2 replicas"):
        check_divides(7, Two)


def test_jit_under_several_replicas_is_refused(run_python):
    script = """
import tensorflow as tf, keras, simclr_keras as sk
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from simclr_keras.training.strategy import choose_strategy
with choose_strategy("mirrored").scope():
    encoder = sk.build_encoder("simclr_resnet18", 16, width_multiplier=0.125)
    model = sk.SimCLR(encoder, sk.ProjectionHead(8), sk.SimCLRAugmenter(16))
    try:
        model.compile("sgd", jit_compile=True)
    except ValueError as error:
        print(error)
"""
    assert "jit_compile=True with 2 replicas" in run_python(script)
