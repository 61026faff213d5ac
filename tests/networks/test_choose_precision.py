import pytest
import tensorflow as tf

from simclr_keras.networks import choose_precision as module
from simclr_keras.networks.choose_precision import choose_precision


@pytest.mark.parametrize(
    "float32, bfloat16, chosen",
    [(1.0, 0.5, "bfloat16"), (1.0, 0.95, "none"), (1.0, 8.0, "none")],
)
def test_a_processor_is_measured(monkeypatch, float32, bfloat16, chosen):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    seconds = {"none": float32, "bfloat16": bfloat16}
    monkeypatch.setattr(module, "_seconds", seconds.get)
    name, reason = choose_precision()
    assert name == chosen
    assert reason == f"bfloat16 is {float32 / bfloat16:.2g} times as fast as float32 here"


@pytest.mark.parametrize(
    "capabilities, chosen",
    [
        ([(9, 0)], "bfloat16"),
        ([(8, 0), (7, 5)], "float16"),  # the least of several
        ([(6, 1)], "none"),
        ([None], "none"),
    ],
)
def test_a_gpu_is_known_by_its_capability(monkeypatch, capabilities, chosen):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: capabilities if kind == "GPU" else []
    )

    def details(capability):
        return {} if capability is None else {"compute_capability": capability}

    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    name, reason = choose_precision()
    assert name == chosen and reason.startswith("GPU of compute capability ")


@pytest.mark.parametrize("name", ["none", "bfloat16"])
def test_a_step_takes_time_in_every_precision(name):
    assert 0 < module._seconds(name) < 60
