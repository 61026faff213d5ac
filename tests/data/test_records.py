import gzip

import numpy as np
import pytest
import tensorflow as tf
from prepared import jpeg

from simclr_keras.data.records import index_records, record_name
from simclr_keras.errors import InputError

COUNT = 9


def _example(image: bytes, label: int, key: str = "image") -> bytes:
    values = {
        "file_name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x.JPEG"])),
        key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def _write(path, records) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


@pytest.fixture
def images():
    return [jpeg(number) for number in range(COUNT)]


@pytest.fixture
def file(images, tmp_path):
    return _write(tmp_path / "a.tfrecord", [_example(x, k) for k, x in enumerate(images)])


def _index(file, expected=COUNT, label_key="label"):
    return index_records(file, "image", label_key, expected)


def _damage(file, place, content=b"\xaa\x55"):
    with open(file, "r+b") as stream:
        stream.seek(place)
        stream.write(content)


@pytest.mark.parametrize("expected", [COUNT, None])
def test_images_are_at_their_places(file, images, expected):
    shard = _index(file, expected)
    content = open(file, "rb").read()
    found = [content[o : o + n] for o, n in zip(shard.offset, shard.length)]
    assert found == images and list(shard.label) == list(range(COUNT)) and not shard.damage
    assert (_index(file, label_key=None).label == -1).all()
    names = [record_name(file, int(offset)) for offset in shard.offset]
    assert names == [f"a.tfrecord, record {k}" for k in range(COUNT)]


@pytest.mark.parametrize("damaged", [[0], [4], [8], [3, 4], [0, 7, 8]])
def test_a_bad_checksum_costs_one_record(file, damaged):
    whole = _index(file)
    for number in damaged:
        _damage(file, whole.offset[number] + 60)
    shard = _index(file)
    assert shard.damage == {k: f"record {k} (bad checksum)" for k in damaged}
    kept = np.setdiff1d(np.arange(COUNT), damaged)
    for name in ("offset", "length", "label"):
        np.testing.assert_array_equal(getattr(shard, name)[kept], getattr(whole, name)[kept])
    assert (shard.length[damaged] == -1).all()


def test_a_bad_length_costs_the_rest(file):
    whole = _index(file)
    # The header begins 12 bytes before the example.
    start = open(file, "rb").read().index(_example(jpeg(5), 5)) - 12
    _damage(file, start)
    shard = _index(file)
    assert shard.damage == {5: "record 5 (bad length, with the 3 after it)"}
    np.testing.assert_array_equal(shard.offset[:5], whole.offset[:5])
    assert shard.length[5:].tolist() == [-1] * 4
    assert _index(file, None).damage == {5: "record 5 (bad length)"}


@pytest.mark.parametrize("left", [5, 40, -1, 0])
def test_a_file_that_is_cut_off(file, left):
    """In the header of record 6, in its example, in its last byte, or between two records."""
    content = open(file, "rb").read()
    start = content.index(_example(jpeg(6), 6)) - 12
    end = len(content) - sum(len(_example(jpeg(k), k)) + 16 for k in (7, 8))
    with open(file, "r+b") as stream:
        stream.truncate(start + left if left >= 0 else end - 1)
    shard = _index(file)
    assert shard.damage == {6: "record 6 (cut off, with the 2 after it)"}
    assert (shard.length[:6] > 0).all() and shard.length[6:].tolist() == [-1] * 3


def test_a_file_that_is_not_there(tmp_path):
    shard = _index(str(tmp_path / "none"))
    assert shard.damage == {0: "record 0 (no such file, with the 8 after it)"}
    assert shard.length.tolist() == [-1] * COUNT


def test_records_that_hold_no_image(images, tmp_path):
    records = [
        _example(images[0], 0),
        b"no example",
        _example(images[2], 2, key="picture"),
        _example(images[3][:-40], 3),
        _example(b"text", 4),
        _example(images[5] + b"trailing", 5),
    ]
    shard = _index(_write(tmp_path / "a", records), len(records))
    assert sorted(shard.damage) == [1, 2, 3, 4]
    assert shard.damage[1].startswith("record 1 (not a tf.train.Example of an image: ")
    assert "no feature 'image', only file_name, label, picture" in shard.damage[2]
    assert shard.damage[3].startswith("record 3 (damaged, truncated, or")
    assert shard.damage[4] == "record 4 (not a JPEG, PNG, GIF, BMP or WebP image)"
    assert (shard.length >= 0).tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("compress", [gzip.compress, None])
def test_compressed_records_are_refused(file, tmp_path, compress):
    path = str(tmp_path / "b")
    if compress:
        open(path, "wb").write(compress(open(file, "rb").read()))
    else:
        with tf.io.TFRecordWriter(path, "ZLIB") as writer:
            writer.write(_example(jpeg(1), 1))
    with pytest.raises(InputError, match="b is compressed. Expected plain TFRecords"):
        _index(path)


def test_an_empty_file(tmp_path):
    shard = _index(_write(tmp_path / "a", []), 0)
    assert len(shard.offset) == 0 and not shard.damage
