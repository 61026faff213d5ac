import pathlib
import sys

import numpy as np
import pytest
from prepared import IMAGENET, write_imagenet

from simclr_keras.data.array_records import array_record_name, index_array_records, reader_of
from simclr_keras.data.datasets import load_source, pretraining_dataset
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.data.sources import ArraySource
from simclr_keras.errors import InputError

COUNT, PER_SHARD = 30, 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folders(tmp_path):
    """The same examples as TFRecords and as ArrayRecords."""
    splits = dict(per_shard=PER_SHARD, train=COUNT, validation=6, test=3)
    for file_format in ("tfrecord", "array_record"):
        write_imagenet(tmp_path / file_format, file_format=file_format, **splits)
    return str(tmp_path / "tfrecord"), str(tmp_path / "array_record")


def _shards(folder):
    return sorted(pathlib.Path(folder).glob("imagenet2012/*/*-train.*"))


def test_images_are_those_of_tfds(folders):
    import tensorflow_datasets as tfds

    source = load_source(IMAGENET, "all", folders[1])
    assert type(source) is ShardSource and len(source) == COUNT
    in_memory = load_source(IMAGENET, "all", folders[0])
    images = {in_memory.read(k).numpy(): in_memory.labels[k] for k in range(COUNT)}
    assert images == {source.read(k).numpy(): source.labels[k] for k in range(COUNT)}
    decoders = {"image": tfds.decode.SkipDecoding()}
    builder = tfds.builder(IMAGENET, data_dir=folders[1])
    tfds_own = builder.as_data_source("train", decoders=decoders)
    for index, example in enumerate(tfds_own):  # in its order
        assert source.read(index) == example["image"]
        assert source.labels[index] == example["label"]
    test = load_source(IMAGENET, "test", folders[1])
    assert len(test) == 6 and (test.labels >= 0).all()  # the test split has no labels


def test_batches_are_read_in_parallel(folders):
    source = load_source(IMAGENET, "all", folders[1])
    options = dict(seed=0, first_step=0, num_steps=40, image_size=8, with_labels=True)
    batches = list(pretraining_dataset(source, 10, **options))
    again = list(pretraining_dataset(source, 10, **options))
    assert len(batches) == 40
    for (images, labels), (others, same) in zip(batches, again):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, same)


def test_damaged_records_are_named_and_skipped(folders):
    whole = load_source(IMAGENET, "all", folders[1])
    first, second, *_ = shards = _shards(folders[1])
    content = bytearray(first.read_bytes())
    place = content.index(whole.read(5).numpy()[-40:])
    content[place] ^= 255
    first.write_bytes(content)
    second.write_bytes(second.read_bytes()[:-100])
    shards[2].unlink()
    with pytest.raises(InputError) as error:
        load_source(IMAGENET, "all", folders[1])
    assert str(error.value).startswith(
        "17 of 30 images in imagenet2012 cannot be read: imagenet2012-train.array_record-00000-of-"
        "00004, record 5 (damaged), imagenet2012-train.array_record-00001-of-00004, record 0 (cut "
        "off, with the 7 after it), imagenet2012-train.array_record-00002-of-00004, record 0 (no "
        "such file, with the 7 after it)."
    )
    kept = load_source(IMAGENET, "all", folders[1], skip_unreadable=True)
    assert kept.places.tolist() == [0, 1, 2, 3, 4, 6, 7, *range(24, 30)]
    assert [kept.read(k) for k in range(13)] == [whole.read(k) for k in kept.places]


def test_records_that_hold_no_image(folders):
    file = str(_shards(folders[1])[0])
    shard = index_array_records(file, "picture", "label", PER_SHARD)
    assert len(shard.damage) == PER_SHARD and (shard.length == -1).all()
    assert "no feature 'picture', only file_name, image, label" in shard.damage[7]
    assert array_record_name(file, 7) == (
        "imagenet2012-train.array_record-00000-of-00004, record 7"
    )


def test_what_to_install(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record.python.array_record_module", None)
    with pytest.raises(InputError, match="needs the package array_record: pip install array_r"):
        reader_of("image")(str(_shards(folders[1])[0]))


@pytest.mark.parametrize("channels", [1, 3])
def test_small_images_of_one_shape_are_kept_in_memory(tmp_path, channels):
    name = {1: "mnist", 3: "cifar10"}[channels]
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=str(tmp_path), file_format="array_record")
    shape = builder.info.features["image"].shape
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (6, *shape), "uint8")
    writer = tfds.core.SequentialWriter(
        builder.info, max_examples_per_shard=4, file_format="array_record"
    )
    pathlib.Path(builder.data_dir).mkdir(parents=True)
    writer.initialize_splits(["train"])
    extra = {"id": "x"} if name == "cifar10" else {}
    examples = [{"image": x, "label": k % 2, **extra} for k, x in enumerate(images)]
    writer.add_examples({"train": examples})
    writer.close_all()
    source = load_source(name, "all", str(tmp_path))
    assert type(source) is ArraySource and source.labels.tolist() == [0, 1] * 3
    np.testing.assert_array_equal(source.images, images)
