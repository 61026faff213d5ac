import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import build_encoder, prepare_encoder
from simclr_keras.errors import InputError


def convolutional(inputs=None, **norm):
    layers = [
        keras.layers.Conv2D(4, 3, use_bias=False),
        keras.layers.BatchNormalization(**norm),
        keras.layers.ReLU(),
        keras.layers.GlobalAveragePooling2D(),
    ]
    return keras.Sequential([*([inputs] if inputs is not None else []), *layers])


class Subclassed(keras.Model):
    def __init__(self, **norm):
        super().__init__()
        self.part = convolutional(**norm)

    def build(self, input_shape):
        self.part.build(input_shape)

    def call(self, images, training=False):
        return self.part(images, training=training)


def norms(model):
    layers = model._flatten_layers(include_self=False)
    return [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]


@pytest.mark.slow
def test_reports_what_it_changed_and_what_still_differs():
    backbone = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg"
    )
    preprocess = keras.layers.Rescaling(2.0, -1.0)
    encoder, changed, kept = prepare_encoder(backbone, 32, momentum=0.9, preprocess=preprocess)
    assert changed == (
        "53 of 53 batch norms synchronised over replicas",
        "batch norm momentum 0.99 -> 0.9",
        "input in [0, 1], mapped by Rescaling(scale=2.0, offset=-1.0)",
    )
    # What the report says of keras.applications' ResNet-50 is so (row 33 of the pitfalls).
    assert kept == (
        "53 of 53 convolutions have a bias",
        "batch norm epsilon 1.001e-05 (SimCLR: 1e-05)",
        "no residual branch begins at zero (SimCLR: the last gamma of each block)",
    )
    assert all(n.synchronized and n.momentum == 0.9 for n in norms(encoder))
    assert not any(n.synchronized or n.momentum == 0.9 for n in norms(backbone))
    # Of a SimCLR ResNet there is nothing to say.
    ours = prepare_encoder(build_encoder("simclr_resnet18", 32, width_multiplier=0.25), 32)
    assert ours.changed == () and ours.kept == ()


def test_nested_models_and_weights_are_kept(rng):
    images = keras.Input((16, 16, 3))
    inner = convolutional(keras.Input((16, 16, 3)))
    model = keras.Model(images, keras.layers.Dense(5)(inner(images)))
    for norm in norms(model):
        norm.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in norm.get_weights()])
    encoder, changed, _ = prepare_encoder(model, 16)
    assert changed == ("1 of 1 batch norms synchronised over replicas",)
    assert [n.synchronized for n in norms(encoder)] == [True]
    values = rng.random((2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(encoder(values), model(values), rtol=1e-5, atol=1e-6)


def test_nothing_to_change_is_the_model_itself():
    encoder = build_encoder("simclr_resnet18", 16, width_multiplier=0.125)
    assert prepare_encoder(encoder, 16, momentum=0.9).encoder is encoder
    assert build_encoder(encoder, 16) is encoder


def test_subclassed_models_work_and_the_report_says_what_could_not_be_done(rng):
    model = Subclassed()
    encoder, changed, kept = prepare_encoder(model, 16)
    assert changed == () and "1 of 1 batch norms are not synchronised" in kept[0]
    assert encoder.output_shape == (None, 4) and encoder.input_shape == (None, 16, 16, 3)
    values = rng.random((2, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(encoder(values), model(values), rtol=1e-5)
    assert "not synchronised" not in " ".join(
        prepare_encoder(Subclassed(synchronized=True), 16).kept
    )


@pytest.mark.slow
def test_the_log_carries_the_report_where_it_is_wanted(caplog):
    with caplog.at_level("INFO", logger="simclr_keras"):
        for log_changes in (True, False):
            build_encoder("mobilenetv2", 32, log_changes=log_changes)
    lines = [record.message for record in caplog.records]
    assert len(lines) == len(set(lines)) == 2
    assert "batch norms synchronised" in lines[0] and "still differs" in lines[1]


class TwoOutputs(Subclassed):
    def call(self, images, training=False):
        return {"features": super().call(images, training=training)}


@pytest.mark.parametrize(
    "make, received",
    [
        (
            lambda: keras.Sequential([keras.layers.Conv2D(4, 3)]),
            "with output (None, 14, 14, 4)",
        ),
        (lambda: TwoOutputs(), "with output dict"),
    ],
)
def test_what_does_not_return_features(make, received):
    with pytest.raises(InputError, match="one tensor of features, shape .N, D.") as error:
        build_encoder(make(), 16)
    assert "GlobalAveragePooling2D()" in str(error.value)
    assert str(error.value).endswith(received)


def test_images_of_another_size():
    flat = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(
        InputError, match="cannot take 16 x 16 x 3 images: .*Received: encoder=se"
    ):
        build_encoder(flat, 16)
    message = re.compile("\x1b")
    with pytest.raises(InputError) as error:
        build_encoder(flat, 16)
    assert not message.search(str(error.value)) and "\n" not in str(error.value)


def test_a_mixed_precision_encoder_stays_one(rng):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    encoder = prepare_encoder(convolutional(keras.Input((16, 16, 3))), 16, momentum=0.9).encoder
    assert encoder(rng.random((2, 16, 16, 3), "float32")).dtype == tf.bfloat16
