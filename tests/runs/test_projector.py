import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins import projector

from simclr_keras.runs.projector import write_projector


def _written(folder, count, columns, side=60, channels=3):
    images = np.zeros((count, side, side, channels), "uint8")
    images += np.arange(count, dtype="uint8")[:, None, None, None]
    features = np.arange(count * 2, dtype="float32").reshape(count, 2) / 3
    file = write_projector(folder / "pictures", features, images, columns)
    config = text_format.Parse(file.read_text(), projector.ProjectorConfig())
    return features, config.embeddings[0]


def test_the_files_are_those_that_the_configuration_names(tmp_path):
    labels = [f"a\tb {place}" for place in range(5)]
    features, embedding = _written(tmp_path, 5, {"label": labels, "part": ["x"] * 4 + [""]})
    folder = tmp_path / "pictures"
    read = np.loadtxt(folder / embedding.tensor_path, delimiter="\t")
    np.testing.assert_allclose(read, features, rtol=1e-4)
    lines = (folder / embedding.metadata_path).read_text().splitlines()
    assert lines == ["label\tpart", *(f"a b {place}\tx" for place in range(4)), "a b 4\t-"]
    sprite = tf.io.decode_png((folder / embedding.sprite.image_path).read_bytes()).numpy()
    # Thumbnails row by row, three in each; the rest is white.
    assert list(embedding.sprite.single_image_dim) == [48, 48] and sprite.shape == (144, 144, 3)
    assert sprite[24::48, 24::48, 0].ravel().tolist() == [0, 1, 2, 3, 4, 255, 255, 255, 255]


def test_a_single_column_has_no_header_and_small_images_keep_their_size(tmp_path):
    _, embedding = _written(tmp_path, 2, {"image": ["0", "1"]}, side=8, channels=2)
    folder = tmp_path / "pictures"
    assert (folder / "metadata.tsv").read_text() == "0\n1\n"
    sprite = tf.io.decode_png((folder / "sprite.png").read_bytes())
    assert sprite.shape == (16, 16, 1) and list(embedding.sprite.single_image_dim) == [8, 8]
