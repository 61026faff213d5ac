"""`SimCLR` compiled with XLA: the views, both networks, the loss and the update in one."""

import keras
import numpy as np
import pytest

from simclr_keras import LARS, ProjectionHead, SimCLR, SimCLRAugmenter, WarmupCosine


@pytest.mark.slow
def test_three_steps_are_those_without_xla(rng, tiny_encoder):
    images = rng.integers(0, 256, (8, 16, 16, 3), "uint8")
    labels, start, results = np.arange(8) % 3 - 1, tiny_encoder.get_weights(), []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(2)
        tiny_encoder.set_weights(start)
        model = SimCLR(
            tiny_encoder,
            ProjectionHead(8),
            SimCLRAugmenter(16, blur=False),
            probe=keras.layers.Dense(2),
        )
        optimizer = LARS(WarmupCosine(0.1, total_steps=4), weight_decay=1e-3)
        model.compile(optimizer, jit_compile=jit_compile)
        logs = model.fit(images, labels, batch_size=8, epochs=3, verbose=0, shuffle=False)
        results.append((logs.history, tiny_encoder.get_weights()))
    (expected_logs, expected), (logs, weights) = results
    # Compiled in one, the pixels of the views round differently, by up to 1e-4 of their range:
    # what a weight moves may differ by the same share. The second term is the rounding of it.
    for before, a, b in zip(start, expected, weights):
        moved = np.abs(a - before).max()
        assert moved > 1e-5
        np.testing.assert_allclose(b, a, atol=1e-4 * moved + 1e-7)
    for name, values in expected_logs.items():
        assert values == pytest.approx(logs[name], abs=1e-4), name
