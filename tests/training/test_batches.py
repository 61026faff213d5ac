"""What `fit` takes, and the one sentence that it gives to what it does not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import SimCLR, SimCLRAugmenter
from simclr_keras.networks.projection_head import ProjectionHead


@pytest.fixture
def model(tiny_encoder):
    probe = keras.layers.Dense(2)
    model = SimCLR(tiny_encoder, ProjectionHead(8), SimCLRAugmenter(16), probe=probe)
    model.compile("sgd")
    return model


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (8, 16, 16, 3), "uint8")


LABELS = np.arange(8) % 2


def _batches(images):
    return tf.data.Dataset.from_tensor_slices(images)


@pytest.mark.slow
def test_what_people_hold_trains_the_same(model, images):
    """Arrays, datasets and TFDS dictionaries of the same images."""
    start, losses = model.get_weights(), []
    tfds = _batches({"image": images, "label": LABELS, "id": LABELS}).batch(4)
    for x, y in (
        (images, LABELS),
        (_batches((images, LABELS)).batch(4), None),
        (tfds, None),
        (images.astype("float32") / 255, LABELS),
    ):
        model.set_weights(start)
        model.step.assign(0)
        options = {"batch_size": 4, "shuffle": False} if y is not None else {}
        losses.append(model.fit(x, y, verbose=0, **options).history["loss"])
        assert model.steps_made == 2
    for x in (
        ((images[i : i + 4], LABELS[i : i + 4]) for i in (0, 4)),
        ({"image": images[i : i + 4], "label": LABELS[i : i + 4]} for i in (0, 4)),
        Batches(images),
    ):
        model.set_weights(start)
        model.step.assign(0)
        losses.append(model.fit(x, steps_per_epoch=2, verbose=0, shuffle=False).history["loss"])
        assert model.steps_made == 2
    np.testing.assert_allclose(losses, [losses[0]] * len(losses), rtol=1e-5)


class Batches(keras.utils.Sequence):
    """A `PyDataset`, as Keras 3 calls it."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        rows = slice(4 * index, 4 * index + 4)
        return self.images[rows], LABELS[rows]


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda x: x[..., 0], r"shape \(N, H, W, C\).*`images\[..., None\]`.*\(8, 16, 16\)"),
        (_batches, r"`dataset.batch\(256, drop.*Received: \(16, 16, 3\)"),
        (lambda x: x.astype("float32"), r"must be in \[0, 1\].*values from 0 to 255"),
        (lambda x: x.astype("int64"), "must be uint8 in 0-255 .*dtype=int64"),
        (lambda x: _batches([b"a"]).batch(1), "must be decoded.*Received: strings"),
        (
            lambda x: _batches({"pixels": x}).batch(4),
            r"needs the key `image`, as in TFDS. Received: \['pixels'\]",
        ),
        (lambda x: _batches((x, LABELS, LABELS)).batch(4), "`sample_weight`.* no meaning"),
        (lambda x: (image for image in x), r"Yield batches.*Received: \(16, 16, 3\)"),
        (lambda x: (y for y in ()), "The generator yields nothing"),
        (
            lambda x: Batches(x.astype("float32")),
            r"must be in \[0, 1\].*`value_range=\(0, 255\)`",
        ),
    ],
)
def test_what_cannot_be_trained_on_gets_a_sentence(model, images, make, text):
    with pytest.raises(ValueError, match=text) as error:
        model.fit(make(images), verbose=0)
    assert "\n" not in str(error.value)
    assert model.steps_made == 0


@pytest.mark.slow
def test_values_of_a_dataset_are_checked_in_the_graph_and_get_one_sentence(model, images):
    dataset = _batches((images.astype("float32"), LABELS)).batch(4)
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match=r"must be in \[0, 1\].*from 0 to 255") as error:
            use(dataset, verbose=0)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name, value", [("sample_weight", np.ones(8)), ("class_weight", {0: 2})]
)
def test_weights_are_refused(model, images, name, value):
    with pytest.raises(ValueError, match=f"`{name}`.* no meaning for SimCLR"):
        model.fit(images, LABELS, verbose=0, **{name: value})


@pytest.mark.parametrize(
    "argument, text",
    [
        ({"loss": "mse"}, r"`compile\(loss=...\)` has no effect.*`SimCLR\(loss=...\)`.*'mse'"),
        (
            {"metrics": ["accuracy"]},
            r"has no effect on SimCLR. It logs .*`SimCLR\(probe=...\)`",
        ),
        ({"weighted_metrics": ["accuracy"]}, "has no effect on SimCLR. It logs"),
        ({"loss_weights": [1.0]}, "has no effect on SimCLR. There is one loss"),
    ],
)
def test_compile_refuses_what_it_would_ignore(model, argument, text):
    with pytest.raises(ValueError, match=text):
        model.compile("sgd", **argument)
