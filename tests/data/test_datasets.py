import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simclr_keras.data.datasets import (
    evaluation_dataset,
    has_test_part,
    is_same_data,
    load_source,
    pretraining_dataset,
)
from simclr_keras.data.decoding import decode_image
from simclr_keras.data.images import resize_and_center_crop
from simclr_keras.data.sources import ArraySource, EncodedSource
from simclr_keras.errors import InputError

_TFDS = pathlib.Path(__file__).parents[2].parent / "shared" / "tfds"


def _batches(source, batch_size=4, **options):
    options = dict(image_size=8, seed=1, first_step=0, num_steps=5) | options
    return list(pretraining_dataset(source, batch_size, **options).as_numpy_iterator())


class _Marker:
    """Stands for what cuts two crops: shows where it was called."""

    def draw(self, step, positions):
        return tf.stack([tf.fill(tf.shape(positions), step), positions], axis=1)

    def cut(self, image, drawn):
        image = decode_image(image) if image.dtype == tf.string else image
        pixel = tf.concat([drawn, tf.shape(image, tf.int64)[:1]], axis=0)
        pixel = tf.reshape(tf.cast(pixel, tf.uint8), [1, 1, 1, 3])
        return pixel * tf.ones([2, 8, 8, 1], tf.uint8)


@pytest.fixture
def arrays():
    """14 images, each of one value: its index."""
    images = np.arange(14, dtype="uint8")[:, None, None, None]
    return ArraySource(np.tile(images, (1, 4, 4, 3)), np.arange(14) % 3)


def test_digits():
    source = load_source("digits", "all")
    assert source.images.shape == (1797, 8, 8, 3) and source.images.dtype == np.uint8
    assert source.images.max() == 255 and source.class_names == tuple("0123456789")
    assert source.image_shape == (8, 8, 3) and source.has_labels
    # The first digit is a 0, whose first row is 0 0 5 13 9 1 0 0 of 16.
    assert source.images[0, 0, :, 1].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert source.labels[0] == 0


def test_digits_are_divided_alike_for_everybody():
    train, test = (load_source("digits", split, seed=9) for split in ("train", "test"))
    assert (len(train), len(test)) == (1437, 360)
    assert np.bincount(test.labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert test.labels[:12].tolist() == [1, 4, 8, 6, 5, 9, 9, 1, 3, 2, 2, 2]


def test_unknown_names():
    with pytest.raises(InputError, match="Did you mean cifar10 .*Expected digits, the n"):
        load_source("cifar1O", "all")
    with pytest.raises(ValueError, match="split='dev'"):
        load_source("digits", "dev")


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def no_network(*args, **kwargs):
        raise OSError("no\nroute to host")

    monkeypatch.setattr(
        tfds.core.DatasetBuilder, "download_and_prepare", no_network, raising=True
    )
    with pytest.raises(InputError, match="could not download cifar10 .*: no route to h"):
        load_source("cifar10", "all", data_dir=str(tmp_path))


def _write_tfds(folder, image_shape, splits=("train",), labels=True, count=6):
    """A prepared TFDS dataset `made` of so many images in each split."""
    import tensorflow_datasets as tfds

    features = {"image": tfds.features.Image(shape=image_shape)}
    if labels:
        features["label"] = tfds.features.ClassLabel(names=["x", "y"])
    identity = tfds.core.DatasetIdentity(
        name="made",
        version=tfds.core.Version("1.0.0"),
        data_dir=str(folder / "made" / "1.0.0"),
        module_name="",
    )
    (folder / "made" / "1.0.0").mkdir(parents=True)
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features)
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=100)
    writer.initialize_splits(list(splits))
    draw = np.random.default_rng(0)
    shape = [side or 9 for side in image_shape]
    examples = [
        {"image": draw.integers(0, 256, shape, "uint8"), "label": number % 2}
        for number in range(count)
    ]
    kept = [{k: e[k] for k in features} for e in examples]
    writer.add_examples({split: kept for split in splits})
    writer.close_all()
    return examples


@pytest.mark.parametrize("image_shape", [(9, 9, 3), (9, 9, 1), (None, None, 3)])
def test_a_prepared_tfds_dataset(tmp_path, image_shape):
    examples = _write_tfds(tmp_path, image_shape)
    source = load_source("made", "all", data_dir=str(tmp_path))
    assert source.class_names == ("x", "y") and len(source) == 6
    assert source.image_shape == (None if None in image_shape else image_shape)
    stored = {e["image"].tobytes(): e["label"] for e in examples}
    loaded = {source.load(i).numpy().tobytes(): source.labels[i] for i in range(6)}
    assert loaded == stored


def test_a_tfds_dataset_of_a_train_split_only_is_divided_as_folders_are(tmp_path):
    _write_tfds(tmp_path, (9, 9, 3), count=20)

    def load(split, **options):
        return load_source("made", split, data_dir=str(tmp_path), **options)

    train, test = load("train", seed=3), load("test", seed=3)
    assert np.bincount(train.labels).tolist() == [8, 8]
    assert np.bincount(test.labels).tolist() == [2, 2]
    assert sorted([*train.places, *test.places]) == list(range(20))
    whole = load("all")
    np.testing.assert_array_equal(test.images, whole.images[test.places])
    assert test.places.tolist() == load("test", seed=3).places.tolist()
    assert test.places.tolist() != load("test", seed=4).places.tolist()
    for split in ("train", "test"):
        assert len(load(split, hold_out=False)) == 20
    assert not has_test_part("made", str(tmp_path))


def test_a_tfds_dataset_with_a_test_split_is_not_divided(tmp_path):
    _write_tfds(tmp_path, (9, 9, 3), ("train", "validation"))
    for split in ("train", "test", "all"):
        assert len(load_source("made", split, data_dir=str(tmp_path))) == 6
    assert has_test_part("made", str(tmp_path))


def test_a_tfds_dataset_without_labels(tmp_path, monkeypatch):
    _write_tfds(tmp_path, (9, 9, 3), ("validation",), labels=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(InputError, match="has no labels"):
        load_source("made", "test")
    with pytest.raises(InputError, match="no train split, only validation"):
        load_source("made", "all")
    assert len(load_source("made", "test", labelled=False)) == 6


@pytest.mark.slow
@pytest.mark.skipif(not _TFDS.exists(), reason=f"needs CIFAR-10 in {_TFDS}")
def test_cifar10():
    source = load_source("cifar10", "test", data_dir=str(_TFDS))
    assert source.images.shape == (10000, 32, 32, 3)
    assert np.bincount(source.labels).tolist() == [1000] * 10
    assert source.class_names[:2] == ("airplane", "automobile")


def test_subset(arrays, image_folder):
    assert arrays.subset([5, 2]).images[:, 0, 0, 0].tolist() == [5, 2]
    assert arrays.subset([5, 2]).labels.tolist() == [2, 2]
    assert arrays.subset([5, 2, 9]).subset([2, 0]).places.tolist() == [9, 5]
    folder = load_source(str(image_folder), "all")
    part = folder.subset(np.array([11, 0]))
    assert part.paths == (folder.paths[11], folder.paths[0])
    np.testing.assert_array_equal(part.load(0), folder.load(11))


def test_array_batches_are_as_stored(arrays):
    batches = _batches(arrays, with_labels=True, num_steps=3)
    drawn = np.concatenate([images[:, 0, 0, 0] for images, _ in batches])
    assert len(set(drawn)) == 12  # an epoch of 3 batches: no image twice
    for images, labels in batches:
        assert images.shape == (4, 4, 4, 3) and images.dtype == np.uint8
        np.testing.assert_array_equal(labels, images[:, 0, 0, 0] % 3)


def test_names_are_looked_up_without_a_network(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    register = tfds.core.community.community_register()
    monkeypatch.setattr(register, "list_builders", lambda: pytest.fail("listed online"))
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="There are no images in"):
        load_source("photos", "all")
    with pytest.raises(InputError, match="Did you mean cifar10"):
        load_source("cifar1O", "all")


def test_a_directory_does_not_hide_a_dataset_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "cifar10").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="There are no images in"):
        load_source("./cifar10", "all")
    monkeypatch.setattr("simclr_keras.data.datasets.load_tfds", lambda name, *_: (name, True))
    assert load_source("cifar10", "all") == "cifar10"


def test_two_names_of_the_same_data(image_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(image_folder.parent)
    (tmp_path / "link").symlink_to(image_folder)
    (tmp_path / "digits").mkdir()
    for other in ("images", "./images/", str(image_folder), str(tmp_path / "link")):
        assert is_same_data(str(image_folder), other)
    assert not is_same_data(str(image_folder), "images/cats")
    assert is_same_data("cifar10", "cifar10") and not is_same_data("cifar10", "cifar100")
    assert not is_same_data("digits", "./digits")  # a folder of that name


@pytest.mark.parametrize("kind", ["arrays", "folder"])
@pytest.mark.parametrize("first_step", [1, 4, 5])
def test_continues_where_it_left_off(arrays, image_folder, kind, first_step):
    source = arrays if kind == "arrays" else load_source(str(image_folder), "all")
    whole = _batches(source, cutter=_Marker(), with_labels=True)
    rest = _batches(source, cutter=_Marker(), with_labels=True, first_step=first_step)
    assert len(rest) == 5 - first_step
    for got, expected in zip(rest, whole[first_step:], strict=True):
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_two_halves_are_the_whole_batch(arrays, image_folder, kind):
    source = arrays if kind == "arrays" else load_source(str(image_folder), "all")
    whole = _batches(source, 6, cutter=_Marker())
    left = _batches(source, 6, cutter=_Marker(), rows=3)
    right = _batches(source, 6, cutter=_Marker(), first_position=3)
    assert len(whole) == len(left) == len(right) == 5
    for a, b, both in zip(left, right, whole, strict=True):
        np.testing.assert_array_equal(np.concatenate([a, b]), both)


def test_views_are_cut_from_the_full_image(image_folder):
    source = load_source(str(image_folder), "all")
    batches = _batches(source, cutter=_Marker(), first_step=2)
    for step, views in enumerate(batches, 2):
        assert views.shape == (4, 2, 8, 8, 3)
        assert views[:, 0, 0, 0, 0].tolist() == [step] * 4
        assert views[:, 1, 0, 0, 1].tolist() == [0, 1, 2, 3]
        assert set(views[:, 0, 0, 0, 2]) <= set(range(20, 32))  # heights in the folder


def test_without_views_images_are_resized(image_folder):
    source = load_source(str(image_folder), "all")
    (images,) = _batches(source, 12, num_steps=1)
    assert images.shape == (12, 8, 8, 3) and images.dtype == np.uint8
    resized = [resize_and_center_crop(source.load(i), 8) for i in range(12)]
    got = np.sort(images.reshape(12, -1), axis=0)
    expected = np.sort(np.reshape(np.round(np.array(resized) * 255), (12, -1)), axis=0)
    np.testing.assert_array_equal(got, expected)


def test_encoded_bytes_are_decoded(rng):
    images = rng.integers(0, 256, (5, 6, 7, 3), "uint8")
    encoded = np.array([tf.io.encode_png(i).numpy() for i in images], object)
    source = EncodedSource(encoded)
    ((views, labels),) = _batches(source, 5, num_steps=1, with_labels=True)
    assert views.shape == (5, 8, 8, 3) and labels.tolist() == [-1] * 5
    np.testing.assert_array_equal(source.subset([3]).load(0), images[3])


def test_a_folder_sorted_by_class_gives_mixed_batches(tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        for number in range(40):
            Image.new("L", (4, 4)).save(tmp_path / name / f"{number}.png")
    source = load_source(str(tmp_path), "all")
    for _, labels in _batches(source, 32, with_labels=True, num_steps=3):
        assert np.bincount(labels, minlength=4).min() >= 2


def test_a_batch_larger_than_the_data(arrays):
    with pytest.raises(InputError, match="batch of 15 .*14 images.*`batch_size` of at mo"):
        _batches(arrays, 15)


@pytest.mark.parametrize("kind", ["arrays", "folder"])
def test_evaluation_takes_every_image_once_in_order(arrays, image_folder, kind):
    source = arrays if kind == "arrays" else load_source(str(image_folder), "all")
    batches = list(evaluation_dataset(source, 8, 5).as_numpy_iterator())
    sizes = [len(images) for images, _ in batches]
    assert sizes == ([5, 5, 4] if kind == "arrays" else [5, 5, 2])
    images, labels = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.dtype == np.float32 and images.shape[1:] == (8, 8, 3)
    np.testing.assert_array_equal(labels, source.labels)
    for index in range(len(source)):
        expected = resize_and_center_crop(source.load(index), 8)
        np.testing.assert_array_equal(images[index], expected)


def test_floating_point_arrays_in_0_255_are_refused():
    source = ArraySource(np.full((2, 4, 4, 3), 200.0, "float32"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="image_dataset_from_dire"):
        next(iter(evaluation_dataset(source, 4, 2)))
