import keras
import numpy as np
import pytest
import tensorflow as tf

from simclr_keras import ExportedEncoder, export_classifier
from simclr_keras.embeddings.config import EmbedConfig
from simclr_keras.embeddings.embed import embed
from simclr_keras.errors import InputError
from simclr_keras.serving.versions import read_metadata


@pytest.fixture
def classifier(tiny_encoder):
    logits = keras.layers.Dense(3, kernel_initializer="random_normal", name="classifier")
    return keras.Model(tiny_encoder.input, logits(tiny_encoder.output))


def test_it_serves_probabilities_and_the_names_of_their_columns(rng, classifier, tmp_path):
    path = export_classifier(classifier, tmp_path / "pets", ("cat", "dog", "écu"))
    served = tf.saved_model.load(str(path))
    images = rng.random((5, 16, 16, 3), "float32")
    answer = served.signatures["serving_default"](images=tf.constant(images))
    logits = np.float64(classifier(images))
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert set(answer) == {"probabilities", "classes"}
    assert answer["probabilities"].dtype == tf.float32 and answer["classes"].dtype == tf.string
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    names = ["cat", "dog", "écu"]
    assert [[x.decode() for x in row] for row in answer["classes"].numpy()] == [names] * 5
    # Without an image: no row.
    none = served.signatures["serving_default"](images=tf.zeros([0, 16, 16, 3]))
    assert none["probabilities"].shape == none["classes"].shape == (0, 3)
    # For fine-tuning: logits.
    np.testing.assert_allclose(served(images, training=False), logits, atol=1e-5)


def test_bytes_are_classified_as_their_pixels(rng, classifier, tmp_path):
    path = export_classifier(classifier, tmp_path / "pets", ("a", "b", "c"))
    signatures = tf.saved_model.load(str(path)).signatures
    pixels = rng.integers(0, 256, (16, 16, 3), "uint8")
    encoded = tf.io.encode_png(pixels)
    from_bytes = signatures["serving_bytes"](image_bytes=encoded[None])
    from_floats = signatures["serving_default"](
        images=tf.constant(pixels[None] / 255, tf.float32)
    )
    for name in ("probabilities", "classes"):
        a, b = from_bytes[name].numpy(), from_floats[name].numpy()
        assert np.array_equal(a, b) if a.dtype == object else np.allclose(a, b, atol=1e-5)


def test_metadata_has_the_names_and_an_encoder_is_not_mistaken(classifier, tmp_path):
    export_classifier(classifier, tmp_path / "pets", ("a", "b", "c"), licence="CC0-1.0")
    metadata = read_metadata(tmp_path / "pets")
    assert metadata["class_names"] == ["a", "b", "c"] and metadata["licence"] == "CC0-1.0"
    assert metadata["warmup_requests"] == 2
    for use in (
        lambda: embed(EmbedConfig(tmp_path / "pets", str(tmp_path), tmp_path / "e.npz")),
        lambda: ExportedEncoder(tmp_path / "pets"),
    ):
        with pytest.raises(InputError, match="is a classifier, which has no embeddings"):
            use()


def test_a_name_for_each_logit(classifier, tmp_path):
    with pytest.raises(InputError, match="Received: 2 names, 3 logits"):
        export_classifier(classifier, tmp_path / "pets", ("a", "b"))
    assert not (tmp_path / "pets").exists()
