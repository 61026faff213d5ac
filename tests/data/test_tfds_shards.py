"""TFDS data that does not fit in memory, as a simulated ImageNet."""

import numpy as np
import pytest
from prepared import IMAGENET, write_imagenet

from simclr_keras.data.datasets import has_test_part, load_source
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.data.sources import EncodedSource
from simclr_keras.data.tfds_shards import read_order
from simclr_keras.errors import InputError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """More shards than TFDS reads at once, of more examples than it takes in turn."""
    folder = tmp_path_factory.mktemp("tfds")
    write_imagenet(folder, per_shard=19, train=19 * 18 + 5, validation=30, test=6)
    return str(folder)


@pytest.fixture
def keep_nothing(tmp_path, monkeypatch):
    """Makes a context in which no split fits in memory."""
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("simclr_keras.data.tfds._ENCODED_BYTES", 0)


@pytest.fixture
def damaged(tmp_path):
    """A folder of 4 shards of 7 examples, and a function that damages one of them."""
    folder = write_imagenet(tmp_path / "data", per_shard=7, train=28, validation=4)
    shards = sorted(folder.glob("*-train.*"))

    def damage(number, place, content=b"\xaa\x55"):
        with shards[number].open("r+b") as file:
            file.seek(place)
            file.write(content)

    return str(tmp_path / "data"), shards, damage


def test_images_are_those_in_memory_in_the_same_order(data_dir, keep_nothing, monkeypatch):
    for split in ("all", "test"):
        source = load_source(IMAGENET, split, data_dir)
        with monkeypatch.context() as patch:
            patch.setattr("simclr_keras.data.tfds._ENCODED_BYTES", 2**30)
            in_memory = load_source(IMAGENET, split, data_dir)
        assert type(source) is ShardSource and type(in_memory) is EncodedSource
        assert len(source) == len(in_memory) == {"all": 347, "test": 30}[split]
        for name in ("labels", "places"):
            np.testing.assert_array_equal(getattr(source, name), getattr(in_memory, name))
        assert source.class_names == in_memory.class_names and len(source.class_names) == 1000
        read = [source.read(k) for k in range(len(source))]
        assert read == [in_memory.read(k) for k in range(len(source))]


def test_what_is_tested_on_has_labels(data_dir, keep_nothing):
    """The test split of ImageNet has none."""
    test = load_source(IMAGENET, "test", data_dir)
    assert len(test) == 30 and (test.labels >= 0).all()
    assert has_test_part(IMAGENET, data_dir)


def test_read_order_takes_sixteen_examples_of_each_shard_in_turn():
    assert read_order([17, 17]).tolist() == [*range(16), *range(17, 33), 16, 33]
    assert read_order([]).tolist() == []


@pytest.mark.parametrize("in_memory", [False, True])
def test_damaged_records_are_named_and_skipped(damaged, keep_nothing, monkeypatch, in_memory):
    data_dir, shards, damage = damaged
    if in_memory:
        monkeypatch.setattr("simclr_keras.data.tfds._ENCODED_BYTES", 2**30)
    whole = load_source(IMAGENET, "all", data_dir)
    damage(1, 300)
    shards[3].write_bytes(shards[3].read_bytes()[:-1])
    with pytest.raises(InputError) as error:
        load_source(IMAGENET, "all", data_dir)
    assert str(error.value) == (
        "2 of 28 images in imagenet2012 cannot be read: imagenet2012-train.tfrecord-00001-of-00004, "
        "record 0 (bad checksum), imagenet2012-train.tfrecord-00003-of-00004, record 6 (cut off). "
        "Move them away, or pretrain with `skip_unreadable`."
    )
    kept = load_source(IMAGENET, "all", data_dir, skip_unreadable=True)
    assert kept.places.tolist() == [k for k in range(28) if k not in (7, 27)]
    assert kept.labels.tolist() == whole.labels[kept.places].tolist()
    assert [kept.read(k) for k in range(26)] == [whole.read(k) for k in kept.places]


def test_a_shard_that_is_missing(damaged, keep_nothing):
    data_dir, shards, _ = damaged
    shards[2].unlink()
    with pytest.raises(
        InputError, match=r"00002-of-00004, record 0 \(no such file, with the 6"
    ):
        load_source(IMAGENET, "all", data_dir)
    kept = load_source(IMAGENET, "all", data_dir, skip_unreadable=True)
    assert kept.places.tolist() == [*range(14), *range(21, 28)]


def test_undecodable_images_in_memory_are_named_too(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("prepared.jpeg", lambda number: b"\xff\xd8\xff%d" % number)
    write_imagenet(tmp_path, train=3)
    with pytest.raises(InputError, match=r"3 of 3 .*00000-of-00001, record 0 \(damaged, trun"):
        load_source(IMAGENET, "all", str(tmp_path))


def test_images_inside_other_features_are_refused(tmp_path):
    import tensorflow_datasets as tfds

    features = {"frames": tfds.features.Sequence(tfds.features.Image(shape=(4, 4, 3)))}
    folder = tmp_path / "made" / "1.0.0"
    folder.mkdir(parents=True)
    identity = tfds.core.DatasetIdentity(
        name="made", version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=""
    )
    info = tfds.core.DatasetInfo(
        builder=identity, features=tfds.features.FeaturesDict(features)
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=9)
    writer.initialize_splits(["train"])
    writer.add_examples({"train": [{"frames": np.zeros((2, 4, 4, 3), "uint8")}]})
    writer.close_all()
    with pytest.raises(InputError, match="no images of its own, only .'frames'.: expected a f"):
        load_source("made", "all", str(tmp_path))
