import os

import numpy as np
import pytest
import tensorflow as tf
from encoded import zip_bomb

from simclr_keras import export_encoder, extract_features
from simclr_keras.data.datasets import evaluation_dataset, load_source
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.images import resize_and_center_crop
from simclr_keras.data.sources import ArraySource
from simclr_keras.embeddings.config import EmbedConfig
from simclr_keras.embeddings.embed import embed
from simclr_keras.embeddings.file import read_info
from simclr_keras.errors import InputError


@pytest.fixture
def model(tiny_encoder, tmp_path):
    return export_encoder(tiny_encoder, tmp_path / "tiny")


def _embed(model, images, output, progress=None, **settings):
    return embed(EmbedConfig(model, images, output, **settings), progress)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_paths_and_vectors_belong_together(
    tiny_encoder, model, image_folder, encoded_images, tmp_path, suffix
):
    for name, content in encoded_images.items():
        kind = name.rsplit("_")[-1].replace("jpeg", "jpg")
        (image_folder / f"{name}.{kind}").write_bytes(content)
    seen = []
    result = _embed(
        model,
        image_folder,
        tmp_path / f"e{suffix}",
        batch_size=5,
        progress=lambda *p: seen.append(p),
    )
    assert result.count == len(result.paths) == 12 + len(encoded_images)
    assert seen[-1] == (result.count, result.count) and len(seen) > 3
    assert result.embeddings.dtype == np.float32 and result.dimension == 8
    for path, vector in zip(result.paths, result.embeddings):
        image = decode_image((image_folder / path).read_bytes(), 16)
        expected = tiny_encoder(resize_and_center_crop(image, 16)[None], training=False)[0]
        np.testing.assert_allclose(vector, expected, atol=1e-5, err_msg=path)


def test_it_is_what_evaluation_sees(tiny_encoder, model, image_folder, tmp_path):
    result = _embed(model, image_folder, tmp_path / "e.npz")
    source = load_source(str(image_folder), "all")
    features, _ = extract_features(tiny_encoder, evaluation_dataset(source, 16, 4))
    assert list(source.paths) == result.paths
    np.testing.assert_allclose(result.embeddings, features, atol=1e-5)


def test_the_files_hold_what_others_read(model, image_folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    result = _embed(model, image_folder, tmp_path / "e.parquet")
    table = parquet.read_table(tmp_path / "e.parquet").to_pydict()
    _embed(model, image_folder, tmp_path / "e.npz")
    saved = np.load(tmp_path / "e.npz")
    assert table["path"] == saved["paths"].tolist() == result.paths
    np.testing.assert_array_equal(np.array(table["embedding"], "float32"), saved["embeddings"])


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_unreadable_images_are_named_and_the_others_embedded(
    model, image_folder, tmp_path, suffix
):
    whole = (image_folder / "cats" / "00.png").read_bytes()
    broken = {
        "cats/broken.jpg": (b"\xff\xd8\xff broken", "damaged"),
        "cats/cut.png": (whole[: len(whole) // 2], "damaged"),
        "dogs/bomb.png": (zip_bomb(), "damaged"),
        "dogs/empty.bmp": (b"", "empty file"),
        "zebra.gif": (b"no image", "not a JPEG, PNG, GIF, BMP or WebP"),
    }
    for name, (content, _) in broken.items():
        (image_folder / name).write_bytes(content)
    result = _embed(model, image_folder, tmp_path / f"e{suffix}", batch_size=4)
    assert result.unreadable == list(broken)
    for name, (_, text) in broken.items():
        assert text in result.reasons[name]
    assert len(result.paths) == 12 and not set(broken) & set(result.paths)
    assert read_info(tmp_path / f"e{suffix}").unreadable == list(broken)


def test_nothing_readable_writes_nothing(model, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    with pytest.raises(InputError, match="no images in"):
        _embed(model, folder, tmp_path / "e.npz")
    (folder / "a.png").write_bytes(b"no image")
    for suffix in (".npz", ".parquet"):
        text = r"None of the 1 images could be read, for example a.png \(not a JPEG"
        with pytest.raises(InputError, match=text):
            _embed(model, folder, tmp_path / f"e{suffix}")
    assert {p.name for p in tmp_path.iterdir()} == {"bad", "tiny"}


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_an_interrupted_run_leaves_the_former_file(model, image_folder, tmp_path, suffix):
    output = tmp_path / f"e{suffix}"
    output.write_bytes(b"former")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _embed(model, image_folder, output, progress=interrupt)
    assert output.read_bytes() == b"former"
    assert {p.name for p in tmp_path.iterdir()} == {"images", "tiny", output.name}


def test_other_file_types_are_refused(model, image_folder, tmp_path):
    with pytest.raises(InputError, match=r"must end in .npz or .parquet. Received: .*e.csv"):
        _embed(model, image_folder, tmp_path / "e.csv")


def test_a_single_image_a_list_and_a_file_of_paths(model, image_folder, tmp_path, monkeypatch):
    one = _embed(model, image_folder / "cats" / "00.png", tmp_path / "e.npz")
    assert one.paths == ["00.png"] and one.embeddings.shape == (1, 8)
    monkeypatch.chdir(tmp_path)
    files = ["images/dogs/01.png", "images/cats/00.png", "images/gone.png"]
    listed = _embed(model, files, tmp_path / "l.npz")
    assert listed.paths == files[:2]
    assert listed.reasons == {"images/gone.png": "No such file or directory"}
    np.testing.assert_array_equal(listed.embeddings[1], one.embeddings[0])
    (tmp_path / "files.txt").write_text("\n".join(files) + "\n\n")
    again = _embed(model, tmp_path / "files.txt", tmp_path / "t.npz")
    assert again.paths == files[:2] and again.unreadable == files[2:]
    for nothing in ([], tmp_path / "nothing.txt"):
        (tmp_path / "nothing.txt").write_text("\n")
        with pytest.raises(InputError, match="There are no images in"):
            _embed(model, nothing, tmp_path / "n.npz")


def test_a_file_name_that_is_no_text(model, image_folder, tmp_path):
    source = image_folder / "cats" / "00.png"
    try:
        os.rename(source, os.path.join(os.fsencode(image_folder), b"\xff.png"))
    except OSError:
        pytest.skip("the file system wants UTF-8")
    for suffix in (".npz", ".parquet"):
        result = _embed(model, image_folder, tmp_path / f"e{suffix}")
        assert len(result.paths) == 12 and "\\udcff.png" in result.paths


def test_a_dataset_by_name(tiny_encoder, model, tmp_path):
    result = _embed(model, "digits", tmp_path / "e.npz", split="test")
    source = load_source("digits", "test")
    assert result.paths[:2] == ["digits/test/0", "digits/test/1"]
    images = resize_and_center_crop(source.images, 16)
    expected = tiny_encoder(images, training=False)
    np.testing.assert_allclose(result.embeddings, expected, atol=1e-5)
    with pytest.raises(InputError, match="There is no folder .*missing"):
        _embed(model, str(tmp_path / "missing"), tmp_path / "m.npz")


@pytest.mark.parametrize("label", [-1, 0])
def test_of_a_dataset_with_a_training_split_only_every_image_is_embedded(
    rng, model, tmp_path, monkeypatch, label
):
    images = rng.integers(0, 256, (10, 16, 16, 3), "uint8")
    source = ArraySource(images, np.full(10, label), ("a",))
    monkeypatch.setattr("simclr_keras.data.datasets.load_tfds", lambda *_: (source, False))
    for split in (None, "train"):
        result = _embed(model, "made", tmp_path / "e.npz", split=split)
        assert result.count == 10 and result.paths[-1] == "made/train/9"


def test_a_split_of_a_folder_is_refused(model, image_folder, tmp_path):
    with pytest.raises(InputError, match="Received: .*images, split=test"):
        _embed(model, image_folder, tmp_path / "e.npz", split="test")


def test_another_number_of_channels_is_said(image_folder, tmp_path):
    images = tf.keras.Input((8, 8, 4))
    encoder = tf.keras.Model(images, tf.keras.layers.GlobalAveragePooling2D()(images))
    path = export_encoder(encoder, tmp_path / "m")
    with pytest.raises(InputError, match="images of 4 channels. Received: images, which has 3"):
        _embed(path, image_folder, tmp_path / "e.npz")


def test_a_list_names_files_with_any_characters(model, image_folder, tmp_path, monkeypatch):
    content = (image_folder / "cats" / "00.png").read_bytes()
    names = [" a.png", "b\u2028.png", "c\x85.png", "d\x0c.png", "caf\udce9.png"]
    for name in names:
        (tmp_path / name).write_bytes(content)
    listed = "\ufeff" + "\r\n".join([*names, "", " "])
    (tmp_path / "list.txt").write_bytes(listed.encode("utf-8", "surrogateescape"))
    monkeypatch.chdir(tmp_path)
    result = _embed(model, "list.txt", "e.npz")
    assert result.paths == [*names[:-1], "caf\\udce9.png"] and not result.reasons
