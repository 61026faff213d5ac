import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from mirrored import Mirrored

from simclr_keras import ProjectionHead, SimCLR
from simclr_keras.errors import RunFailure
from simclr_keras.training.callbacks import SaveCheckpoints, StopOnNonFiniteLoss
from simclr_keras.training.checkpoints import Checkpoints
from simclr_keras.training.signals import StopSignals


@pytest.fixture
def model():
    images = keras.Input((16, 16, 3))
    features = keras.layers.Conv2D(4, 3, strides=4)(images)
    encoder = keras.Model(images, keras.layers.GlobalAveragePooling2D()(features))
    model = SimCLR(encoder, ProjectionHead(4), Mirrored(16))
    model.compile(keras.optimizers.SGD(0.1))
    return model


def test_a_loss_that_is_not_finite_is_said_with_what_was_going_on(model, tmp_path):
    checkpoints = Checkpoints(model, tmp_path)
    model.step.assign(3)
    checkpoints.save()
    model.step.assign(5)
    for step, norm in ((3, 250.0), (4, np.nan)):  # of the steps before
        model.gradient_norms.note(tf.constant(step, tf.int64), tf.constant(norm))
    stop = StopOnNonFiniteLoss(
        "Lower it.", learning_rate=lambda at: at / 8, checkpoints=checkpoints
    )
    stop.set_model(model)
    stop.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(RunFailure) as stopped:
        stop.on_train_batch_end(1, {"loss": float("nan")})
    assert str(stopped.value) == (
        "The loss is nan at step 5, in float32 at a learning rate of 0.5. In the last 2 steps, the "
        "gradient's norm was at most 250 (step 4; median 250), and not finite in 1 (first: step 5). "
        f"Lower it. The last good checkpoint is {tmp_path / 'ckpt-3'}."
    )


def test_a_loss_that_is_not_finite_before_the_first_checkpoint(model, tmp_path):
    stop = StopOnNonFiniteLoss("Lower it.", checkpoints=Checkpoints(model, tmp_path))
    stop.set_model(model)
    with pytest.raises(RunFailure, match="There is no checkpoint yet.$"):
        stop.on_train_batch_end(0, {"loss": float("inf")})


def test_weights_that_are_not_finite_never_replace_a_checkpoint(model, tmp_path):
    checkpoints = Checkpoints(model, tmp_path)
    model.step.assign(4)
    checkpoints.save()
    before = sorted(path.name for path in tmp_path.iterdir())
    model.step.assign(8)
    kernel = model.encoder.trainable_variables[0]
    kernel.assign(tf.fill(kernel.shape, np.inf))
    with pytest.raises(
        RunFailure, match="not finite after step 8 .*kernel.* checkpoint is .*ckpt-4"
    ):
        checkpoints.save()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_steps_that_float16_skips_are_counted(model, caplog):
    stop = StopOnNonFiniteLoss("Use bfloat16.")
    scales = iter((8.0, 8.0, 4.0, 8.0, 4.0, 2.0))
    stop.set_model(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "simclr_keras.training.callbacks.loss_scale", lambda optimizer: next(scales)
        )
        stop.on_train_begin()
        for _ in range(5):
            stop.on_train_batch_end(0, {"loss": 1.0})
    with caplog.at_level(logging.INFO, "simclr_keras"):
        stop.on_epoch_end(0)
        stop.on_epoch_end(1)
    (said,) = caplog.messages
    assert "float16 has skipped 3 steps" in said and "scaled by 2" in said


def test_a_checkpoint_is_written_when_it_is_asked_for(model, tmp_path, caplog):
    signals = StopSignals()
    save = SaveCheckpoints(Checkpoints(model, tmp_path), signals)
    save.set_model(model)
    save.set_params({"steps": 4})
    model.step.assign(1)
    save.on_train_batch_end(0)
    assert not list(tmp_path.iterdir())
    signals.asked_to_save = True
    model.step.assign(2)
    with caplog.at_level(logging.INFO, "simclr_keras"):
        save.on_train_batch_end(1)
        save.on_train_batch_end(2)
    assert caplog.messages == ["A checkpoint was written after step 2."]
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"ckpt-2"}
    assert not signals.asked_to_save
