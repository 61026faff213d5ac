"""The parts of a `SimCLR` that are made by the paper's rules, and encoders of any kind."""

import keras
import numpy as np
import pytest

from simclr_keras import NTXentLoss, ProjectionHead, SimCLR, SimCLRAugmenter


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = keras.layers.Conv2D(4, 3)
        self.pool = keras.layers.GlobalAveragePooling2D()

    def call(self, images, training=False):
        return self.pool(self.convolution(images))


class Features(Subclassed):
    def call(self, images, training=False):
        return {"features": super().call(images)}


class Maps(Subclassed):
    def call(self, images, training=False):
        return self.convolution(images)


def _sequential(*first):
    return keras.Sequential(
        [*first, keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()]
    )


def _nested():
    images = keras.Input((16, 16, 3))
    return keras.Model(
        images, keras.layers.Dense(4)(_sequential(keras.Input((16, 16, 3)))(images))
    )


@pytest.mark.parametrize(
    "size, jitter, blur", [(32, 0.5, False), (33, 1.0, True), (224, 1.0, True)]
)
def test_an_encoder_is_enough(size, jitter, blur):
    model = SimCLR(_sequential(keras.Input((size, size, 3))))
    assert model.augmenter.image_size == size
    assert model.augmenter.color_jitter_strength == jitter and model.augmenter.blur == blur
    head = model.projection_head
    assert (head.output_dim, head.num_layers, head.built) == (128, 2, True)


def test_a_name_is_enough():
    model = SimCLR("simclr_resnet18", image_size=32)
    assert model.encoder.name == "simclr_resnet18" and model.augmenter.image_size == 32
    assert SimCLR("simclr_resnet18").augmenter.image_size == 224


@pytest.mark.parametrize("make", [Subclassed, _sequential, _nested])
def test_any_kind_of_model_trains(make, rng):
    encoder = make()
    model = SimCLR(encoder, ProjectionHead(8), lambda x: (x, x[:, :, ::-1]), image_size=16)
    model.compile("sgd")
    before = [w.copy() for w in encoder.get_weights()]
    images = rng.integers(0, 256, (4, 16, 16, 3), "uint8")
    model.fit(images, batch_size=4, verbose=0)
    assert model.encoder is encoder  # it is trained, not a copy
    assert any((old != new).any() for old, new in zip(before, encoder.get_weights()))
    assert model.predict(images, verbose=0).shape == (4, 4)


@pytest.mark.parametrize(
    "encoder, text",
    [
        (Features, r"one tensor of features, shape \(N, D\).*with output dict"),
        (Maps, r"pooling layer.*or use `build_encoder`.*with output \(None, 14, 14, 4\)"),
        (lambda: 3, "must be a `keras.Model`, or a name.*Received: encoder=3"),
        (lambda: "resnet18", "Closest: simclr_resnet18"),
    ],
)
def test_what_is_no_encoder_gets_a_sentence(encoder, text):
    with pytest.raises(ValueError, match=text):
        SimCLR(encoder(), image_size=16)


def test_the_size_must_be_known():
    with pytest.raises(
        ValueError, match="images of any size.*Give `image_size`, or an augmenter"
    ):
        SimCLR(_sequential(keras.Input((None, None, 3))))
    with pytest.raises(ValueError, match="not known before it is called. Give `image_size`"):
        SimCLR(Subclassed(), augmenter=lambda x: x)


def test_losses_by_name(tiny_encoder):
    loss = SimCLR(tiny_encoder, loss="decoupled", temperature=0.3).contrastive_loss
    assert isinstance(loss, NTXentLoss) and loss.decoupled and loss.temperature == 0.3
    assert SimCLR(tiny_encoder, loss="nt-xent").contrastive_loss is None
    with pytest.raises(ValueError, match="'nt-xent', 'decoupled' or a function.*loss='mse'"):
        SimCLR(tiny_encoder, loss="mse")


def test_compile_says_what_it_needs(tiny_encoder):
    with pytest.raises(ValueError, match=r"needs an optimizer.*`sk.LARS\(sk.WarmupCosine\("):
        SimCLR(tiny_encoder).compile()


@pytest.mark.slow
def test_images_in_0_to_255_train_and_predict_as_uint8_ones(tiny_encoder, rng):
    images = rng.integers(0, 256, (4, 16, 16, 3), "uint8")
    floats = images.astype("float32")
    made = SimCLR(tiny_encoder, value_range=(0, 255))
    assert made.augmenter.value_range == (0, 255)
    taken = SimCLR(tiny_encoder, augmenter=SimCLRAugmenter(16, value_range=(0, 255)))
    own = SimCLR(tiny_encoder, augmenter=lambda x: (x, x[:, :, ::-1]), value_range=(0, 255))
    for model in (made, taken, own):
        assert model.value_range == (0, 255)
        # Eagerly: nothing here depends on tracing, which would take 30 times as long.
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        np.testing.assert_allclose(
            model.predict(floats, verbose=0), model.predict(images, verbose=0), rtol=1e-6
        )
        losses = []
        for batch in (images, floats):
            model.step.assign(0)
            losses.append(float(model.train_on_batch(batch, return_dict=True)["loss"]))
            model.reset_metrics()
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    with pytest.raises(ValueError, match="different value ranges. Give it once"):
        SimCLR(
            tiny_encoder,
            augmenter=SimCLRAugmenter(16, value_range=(0, 255)),
            value_range=(-1, 1),
        )


def test_its_parts_survive_a_round_trip(tiny_encoder):
    model = SimCLR(tiny_encoder, value_range=(0, 255), loss="decoupled")
    again = SimCLR.from_config(model.get_config())
    assert again.value_range == (0, 255) and again.augmenter.value_range == (0, 255)
    assert again.contrastive_loss.decoupled
