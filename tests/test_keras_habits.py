"""What a Keras user tries first: it works, or one sentence says why not and what to do.

Reads from top to bottom like a session: an encoder, a model, `compile`, data, `fit`, callbacks,
and what is done with the result. Most steps run eagerly, which takes less time than tracing them;
that both agree is tested elsewhere.
"""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

import simclr_keras as sk
from simclr_keras.keras_versions import KERAS_3

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), "uint8")
LABELS = np.arange(8) % 2
layers = keras.layers


@keras.saving.register_keras_serializable("tests")
def mirrored(images):
    return images, images[:, :, ::-1]


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution, self.pool = layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()

    def call(self, images, training=False):
        return self.pool(self.convolution(images))


class FeatureDictionary(Subclassed):
    def call(self, images, training=False):
        return {"stage_1": super().call(images)}


def sequential(*first):
    return keras.Sequential([*first, layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()])


def functional():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(images)))


def nested():
    images = keras.Input((8, 8, 3))
    return keras.Model(images, layers.Dense(4)(functional()(images)))


def uncompiled(encoder=None, **options):
    options = {"augmenter": mirrored, **options}
    return sk.SimCLR(encoder or functional(), sk.ProjectionHead(4), **options)


def compiled(optimizer="sgd", run_eagerly=True, **options):
    model = uncompiled(**options)
    model.compile(optimizer, run_eagerly=run_eagerly)
    return model


def trained(model, x=IMAGES, y=None, **options):
    """The history of one epoch, in which weights and step must have moved."""
    before = model.encoder.get_weights()
    is_array = isinstance(x, np.ndarray)
    options = {"batch_size": 4 if is_array else None, "verbose": 0, **options}
    history = model.fit(x, y, **options).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert any((old != new).any() for old, new in zip(before, model.encoder.get_weights()))
    assert model.steps_made > 0
    return history


# --- an encoder -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [functional, lambda: sequential(keras.Input((8, 8, 3))), sequential, nested, Subclassed],
    ids=["functional", "sequential", "sequential, not built", "nested", "subclassed"],
)
def test_any_kind_of_model_is_an_encoder(make):
    trained(compiled(encoder=make(), image_size=8))


def test_an_encoder_alone_is_enough():
    model = sk.SimCLR(functional())
    assert model.augmenter.image_size == 8 and model.projection_head.output_dim == 128


@pytest.mark.parametrize("name", ["simclr_resnet18", "mobilenet"])
def test_a_name_is_enough(name):
    assert sk.SimCLR(name, image_size=32).encoder.input_shape[-1] == 3


def test_a_backbone_of_keras_hub_is_pooled():
    hub = pytest.importorskip("keras_hub", reason="needs the keras-hub extra, Keras 3")
    backbone = hub.models.VGGBackbone([1], [8], image_shape=(8, 8, 3))
    assert sk.build_encoder(backbone, 8).output_shape == (None, 8)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: sk.SimCLR("resnet18"), "Closest: simclr_resnet18"),
        (lambda: sk.SimCLR(FeatureDictionary(), image_size=8), r"shape \(N, D\).*output dict"),
        (
            lambda: sk.SimCLR(keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])),
            "end it with a pooling layer",
        ),
        (lambda: sk.SimCLR(Subclassed()), "Give `image_size`"),
        (lambda: sk.SimCLR(functional(), loss="mse"), "must be 'nt-xent', 'decoupled' or"),
    ],
    ids=["a misspelt name", "a dictionary", "feature maps", "no size", "an unknown loss"],
)
def test_what_is_no_encoder(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_summary_shows_shapes():
    lines = []
    compiled().summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "(None, 4)" in text and "?" not in text


# --- compile ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: "adam",
        lambda: keras.optimizers.SGD(0.1, momentum=0.9),
        lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 10)),
        lambda: sk.LARS(sk.WarmupCosine(0.1, total_steps=4), weight_decay=1e-6),
        lambda: keras.optimizers.AdamW(0.1, clipnorm=1.0),
        lambda: keras.optimizers.SGD(0.1, use_ema=True),
    ],
    ids=["a string", "an object", "a schedule", "the paper's", "clipping", "averaged weights"],
)
def test_optimizers(optimizer):
    trained(compiled(optimizer()))


@pytest.mark.skipif(not KERAS_3, reason="an argument of Keras 3's optimizers")
def test_gradient_accumulation():
    trained(compiled(keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"jit_compile": True}, {"steps_per_execution": 2}],
    ids=["traced", "XLA", "steps per execution"],
)
def test_ways_to_run(options):
    model = uncompiled()
    model.compile("sgd", **options)
    trained(model)


def test_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = compiled()
    trained(model)
    assert model.predict(IMAGES, verbose=0).dtype == np.float32


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({}, r"`compile` needs an optimizer.*sk.LARS\(sk.WarmupCosine"),
        ({"optimizer": "sgd", "loss": "mse"}, r"to the model: `SimCLR\(loss=...\)`"),
        ({"optimizer": "sgd", "metrics": ["accuracy"]}, "It logs its loss and the accuracy"),
    ],
    ids=["no optimizer", "a loss", "metrics"],
)
def test_what_compile_refuses(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        uncompiled().compile(**options)


@pytest.mark.parametrize(
    "loss",
    [
        "nt-xent",
        "decoupled",
        sk.NTXentLoss(0.5),
        lambda z1, z2: tf.reduce_sum((z1 - z2) ** 2, 1),
    ],
    ids=["nt-xent", "decoupled", "an object", "a function"],
)
def test_losses(loss):
    trained(compiled(loss=loss))


# --- augmentation -----------------------------------------------------------------------------

AUGMENTERS = {
    "ours": lambda: sk.SimCLRAugmenter(8, 0.0, blur=False, grayscale_probability=0),
    "a layer": lambda: layers.RandomTranslation(0.2, 0.2),
    "sequential": lambda: keras.Sequential(
        [layers.RandomFlip(), layers.RandomBrightness(0.2, value_range=(0, 1))]
    ),
    "a function": lambda: lambda images: tf.image.random_flip_left_right(images),
    "a function of two views": lambda: mirrored,
}
if KERAS_3:
    AUGMENTERS["a pipeline"] = lambda: layers.Pipeline(
        [layers.RandAugment(value_range=(0, 1)), layers.RandomFlip()]
    )


@pytest.mark.parametrize("kind", AUGMENTERS)
def test_augmenters(kind):
    trained(compiled(augmenter=AUGMENTERS[kind]()))


def test_an_augmentation_for_images_in_0_to_255_is_refused():
    with pytest.raises(ValueError, match=r"give RandomBrightness `value_range=\(0, 1\)`"):
        uncompiled(augmenter=layers.RandomBrightness(0.2))


@pytest.mark.slow
def test_an_augmenter_in_a_dataset_and_in_a_functional_model():
    augmenter = AUGMENTERS["ours"]()
    batches = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4).map(augmenter)
    assert [view.shape for view in next(iter(batches))] == [(4, 8, 8, 3)] * 2
    images = keras.Input((8, 8, 3))
    assert len(keras.Model(images, augmenter(images))(IMAGES / np.float32(255))) == 2


# --- data -------------------------------------------------------------------------------------


def batches(elements):
    return tf.data.Dataset.from_tensor_slices(elements).batch(4)


class Batches(keras.utils.Sequence):
    """A `PyDataset`, as Keras 3 calls it."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return (IMAGES[4 * index : 4 * index + 4],)


def folder(path):
    for index, image in enumerate(IMAGES):
        file = path / str(index % 2) / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        keras.utils.save_img(file, image)
    return keras.utils.image_dataset_from_directory(path, image_size=(8, 8), batch_size=4)


DATA = {
    "uint8": lambda path: IMAGES,
    "floats in 0-1": lambda path: IMAGES / np.float32(255),
    "a dataset": lambda path: batches(IMAGES),
    "a dataset with labels": lambda path: batches((IMAGES, LABELS)),
    "a dictionary of TFDS": lambda path: batches({"image": IMAGES, "label": LABELS}),
    "a generator": lambda path: (IMAGES[i : i + 4] for i in (0, 4)),
    "a PyDataset": lambda path: Batches(),
    "a tensor": lambda path: tf.constant(IMAGES),
}


@pytest.mark.parametrize("kind", DATA)
def test_data(kind, tmp_path):
    trained(compiled(), DATA[kind](tmp_path), steps_per_epoch=2)


def test_image_dataset_from_directory(tmp_path):
    dataset = folder(tmp_path)  # floats in 0-255
    trained(compiled(value_range=(0, 255)), dataset)
    model = uncompiled()
    model.compile("sgd")
    with pytest.raises(ValueError, match=r"The usual cause.*`value_range=\(0, 255\)`"):
        model.fit(dataset, verbose=0)


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: IMAGES.astype("float32"), r"must be in \[0, 1\].*from 0 to 255"),
        (lambda: IMAGES.astype("int32"), "must be uint8 in 0-255 or floating.*dtype=int32"),
        (lambda: IMAGES[..., 0], r"`images\[..., None\]`. Received: \(8, 8, 8\)"),
        (lambda: batches(IMAGES).unbatch(), r"Batch the dataset with `dataset.batch\(256"),
        (lambda: batches([b"jpeg"]), "Images must be decoded"),
        (lambda: batches({"pixels": IMAGES}), "needs the key `image`, as in TFDS"),
        (lambda: batches((IMAGES, LABELS, LABELS)), "`sample_weight`.* have no meaning"),
    ],
    ids=["0-255", "integers", "no channels", "not batched", "encoded", "no image", "weights"],
)
def test_what_fit_refuses(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        compiled().fit(make(), verbose=0)


@pytest.mark.parametrize("weights", [{"sample_weight": np.ones(8)}, {"class_weight": {0: 2}}])
def test_weights_are_refused(weights):
    with pytest.raises(ValueError, match="have no meaning for SimCLR.*Leave them out"):
        compiled().fit(IMAGES, LABELS, verbose=0, **weights)


def test_a_probe_learns_from_labels_and_asks_for_them():
    model = compiled(probe=layers.Dense(2))
    assert "probe_accuracy" in trained(model, IMAGES, LABELS)
    with pytest.raises(ValueError, match=r"every batch must be \(images, labels\)"):
        model.fit(IMAGES, batch_size=4, verbose=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"validation_data": (IMAGES,)}, {"validation_split": 0.5}],
    ids=["data", "split"],
)
def test_validation(options):
    assert "val_loss" in trained(compiled(), **options)


# --- callbacks --------------------------------------------------------------------------------

CALLBACKS = {
    "early stopping": lambda path: keras.callbacks.EarlyStopping(
        "loss", restore_best_weights=True
    ),
    "reduced learning rate": lambda path: keras.callbacks.ReduceLROnPlateau("loss"),
    "scheduled learning rate": lambda path: keras.callbacks.LearningRateScheduler(
        lambda e: 0.1
    ),
    "stop at NaN": lambda path: keras.callbacks.TerminateOnNaN(),
    "CSV": lambda path: keras.callbacks.CSVLogger(str(path / "log.csv")),
    "TensorBoard": lambda path: keras.callbacks.TensorBoard(str(path)),
    "lambda": lambda path: keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: None),
    "whole models": lambda path: keras.callbacks.ModelCheckpoint(str(path / "model.keras")),
    "weights": lambda path: keras.callbacks.ModelCheckpoint(
        str(path / "model.weights.h5"), save_weights_only=True
    ),
    "backup": lambda path: keras.callbacks.BackupAndRestore(str(path)),
}


@pytest.mark.parametrize("kind", CALLBACKS)
def test_callbacks(kind, tmp_path):
    model = compiled(keras.optimizers.SGD(0.1))
    trained(model, epochs=2, callbacks=[CALLBACKS[kind](tmp_path)])


# --- what is done with the result ----------------------------------------------------------------


def test_single_batches():
    model = compiled()
    assert {"loss", "contrastive_accuracy"} <= model.train_on_batch(
        IMAGES, return_dict=True
    ).keys()
    assert model.test_on_batch(IMAGES, return_dict=True)["loss"] > 0
    assert model.evaluate(IMAGES, batch_size=4, verbose=0, return_dict=True)["loss"] > 0


def test_features_are_what_the_model_and_predict_return():
    model = compiled()
    features = model.predict(IMAGES, batch_size=4, verbose=0)
    assert features.shape == (8, 4)
    np.testing.assert_allclose(features, model(IMAGES), rtol=1e-5)
    np.testing.assert_allclose(features, model.encoder(IMAGES / np.float32(255)), rtol=1e-5)


@pytest.mark.slow
def test_a_saved_model_goes_on(tmp_path):
    model = compiled()
    trained(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.steps_made == model.steps_made
    np.testing.assert_allclose(loaded(IMAGES), model(IMAGES), rtol=1e-5)
    trained(loaded)


def test_weights_move_between_models(tmp_path):
    model, other = compiled(), compiled()
    trained(model)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other(IMAGES), model(IMAGES))
    model.save_weights(tmp_path / "model.weights.h5")
    again = compiled()
    again.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(again(IMAGES), model(IMAGES))


def test_copies():
    model = compiled()
    trained(model)
    same = copy.deepcopy(model)
    np.testing.assert_array_equal(same(IMAGES), model(IMAGES))
    assert same.encoder is not model.encoder and same.steps_made == model.steps_made
    clone = keras.models.clone_model(model)
    assert type(clone) is sk.SimCLR and clone.encoder is not model.encoder


def test_a_frozen_encoder_stays():
    model = uncompiled()
    model.encoder.trainable = False
    model.compile("sgd", run_eagerly=True)
    before = model.encoder.get_weights()
    model.fit(IMAGES, batch_size=4, verbose=0)
    for old, new in zip(before, model.encoder.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_the_encoder_goes_into_another_model():
    model = compiled()
    trained(model)
    classifier = keras.Sequential([model.encoder, layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile("sgd", loss=loss, metrics=["accuracy"])
    assert "accuracy" in classifier.fit(IMAGES / np.float32(255), LABELS, verbose=0).history


@pytest.mark.parametrize("part", ["model", "encoder"])
def test_exported_straight_after_fit(part, tmp_path):
    model = compiled()
    trained(model)
    exported = model if part == "model" else model.encoder
    images = IMAGES / np.float32(255)
    exported.export(str(tmp_path / "1"))
    served = tf.saved_model.load(str(tmp_path / "1"))
    np.testing.assert_allclose(served.serve(images), model(IMAGES), rtol=1e-5)
