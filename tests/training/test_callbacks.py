import logging
import types

import keras
import numpy as np
import pytest

from simclr_keras import ProjectionHead, SimCLR, SimCLRAugmenter
from simclr_keras.training.callbacks import CollapseWarning


def _warnings(caplog, rows, batch_size=64, **options):
    """The warnings for rows of (step, loss, contrastive accuracy)."""
    callback = CollapseWarning(batch_size, **options)
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        for step, loss, accuracy in rows:
            callback.set_model(types.SimpleNamespace(steps_made=step))
            callback.on_epoch_end(0, {"loss": loss, "contrastive_accuracy": accuracy})
    return [record.getMessage() for record in caplog.records]


# ln(2N - 1) = 4.844 for N = 64; guessing finds 1 of 127 partners, 0.0079.
SLOW_START = [
    (50, 4.844, 0.009),
    (100, 4.838, 0.012),
    (150, 4.822, 0.013),
    (200, 4.796, 0.052),
    (250, 4.68, 0.08),
    (300, 4.54, 0.107),
]
HIGH_TEMPERATURE = [(step, 4.80 - step / 1e5, 0.9) for step in range(100, 2000, 100)]
PLATEAU = [(step, 4.30, 0.11) for step in range(100, 2000, 100)]
COLLAPSED = [(step, 4.8442 + (-1) ** step / 1e4, 0.008) for step in range(50, 601, 50)]


@pytest.mark.parametrize("rows", [SLOW_START, HIGH_TEMPERATURE, PLATEAU])
def test_runs_that_learn_or_have_learned_are_left_alone(caplog, rows):
    assert _warnings(caplog, rows) == []


def test_a_flat_loss_at_the_level_of_guessing_is_reported(caplog):
    first, second = _warnings(caplog, COLLAPSED)
    assert first.startswith("Step 250: nothing learned in 200 steps. The loss stays at 4.844")
    assert "`learning_rate`" in first and second.startswith("Step 450:")


def test_the_warm_up_does_not_count(caplog):
    [message] = _warnings(caplog, COLLAPSED, warmup_steps=400)
    assert message.startswith("Step 600: nothing learned in 200 steps.")


def test_a_loss_that_begins_to_fall_begins_a_new_count(caplog):
    assert len(_warnings(caplog, [*COLLAPSED[:4], (250, 4.83, 0.011), *SLOW_START[4:]])) == 0


def test_four_images_that_are_told_apart_are_no_guesses(caplog):
    rows = [(step, 0.9, 0.3) for step in range(100, 1000, 100)]  # guessing: 1 of 7
    assert _warnings(caplog, rows, batch_size=4) == []


def test_an_encoder_with_constant_features_is_reported(caplog, rng):
    inputs = keras.Input((16, 16, 3))
    constant = keras.layers.Rescaling(0.0, 1.0)(keras.layers.GlobalAveragePooling2D()(inputs))
    model = SimCLR(
        keras.Model(inputs, constant), ProjectionHead(8), SimCLRAugmenter(16, blur=False)
    )
    model.compile(keras.optimizers.SGD(0.01))
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    with caplog.at_level(logging.WARNING, logger="simclr_keras"):
        callback = CollapseWarning(8, patience_steps=2)
        history = model.fit(images, batch_size=8, epochs=4, verbose=0, callbacks=[callback])
    np.testing.assert_allclose(history.history["loss"], np.log(15), atol=1e-5)
    assert [r.getMessage()[:31] for r in caplog.records] == ["Step 3: nothing learned in 2 st"]
