import os
import resource

import numpy as np
import pytest
import tensorflow as tf
from prepared import jpeg

from simclr_keras.data.shard_source import ShardSource, most_open_files

COUNT = 6


@pytest.fixture
def images():
    """One ends in a zero, as BMP and PNG files may."""
    return [*(jpeg(number) for number in range(COUNT - 1)), b"ab\0"]


@pytest.fixture
def source(images, tmp_path):
    """The even images in one file, the odd ones in another, with something between them."""
    places = []
    for number, image in enumerate(images):
        with open(tmp_path / str(number % 2), "ab") as file:
            file.write(b"between")
            places.append((number % 2, file.tell(), len(image)))
            file.write(image)
    files = [str(tmp_path / "0"), str(tmp_path / "1")]
    return ShardSource(files, *zip(*places), [0, 1, -1, 0, 1, 0], ("cats", "dogs"), "made")


@pytest.mark.parametrize("traced", [False, True])
def test_images_are_read_by_index(source, images, traced):
    index = tf.data.Dataset.range(COUNT)
    read = index.map(source.read) if traced else map(source.read, range(COUNT))
    assert [content.numpy() for content in read] == images
    assert source.image_shape is None and source.channels == 3 and source.has_labels
    assert source.typical_side() == 17


def test_subsets_and_other_labels(source, images):
    part = source.subset([3, 1, 0]).subset([2, 0])
    assert type(part) is ShardSource and part.places.tolist() == [0, 3]
    assert [part.read(k) for k in range(2)] == [images[0], images[3]]
    assert part.labels.tolist() == [0, 0] and part.class_names == ("cats", "dogs")
    other = source.with_labels([-1] * COUNT, ("birds",))
    assert not other.has_labels and source.has_labels
    assert other.read(2) == images[2]


def test_what_cannot_be_read_is_named(source, tmp_path):
    reason = "not a JPEG, PNG, GIF, BMP or WebP image"
    name = f"{tmp_path}/1, byte {source.offset[5]}"
    assert source.find_unreadable() == {5: reason} and source.name_of(5) == name
    assert source.why_unreadable(5) == reason and source.why_unreadable(0) is None
    (tmp_path / "0").write_bytes(b"")
    with pytest.raises(tf.errors.InvalidArgumentError, match="shorter than when it was"):
        list(tf.data.Dataset.range(1).map(source.read))
    assert [index for index in range(COUNT) if source.why_unreadable(index)] == [0, 2, 4, 5]


def test_a_file_that_is_gone(source, tmp_path):
    (tmp_path / "0").unlink()
    with pytest.raises(tf.errors.InvalidArgumentError, match="0: No such file"):
        source.read(0)


def test_few_files_are_open_at_a_time(tmp_path, monkeypatch):
    assert most_open_files() < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most_open = 40
    monkeypatch.setattr("simclr_keras.data.shard_source.most_open_files", lambda: most_open)
    count = 3 * most_open
    files = [tmp_path / str(number) for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(b"%5d" % number)
    source = ShardSource(list(map(str, files)), range(count), [0] * count, [5] * count)
    before = len(os.listdir("/proc/self/fd"))
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(count), 4))
    read = tf.data.Dataset.from_tensor_slices(order).map(source.read, num_parallel_calls=8)
    most = 0
    for number, content in zip(order, read.as_numpy_iterator()):
        assert int(content) == number
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert most_open / 2 <= most <= most_open + 20


def test_an_image_takes_at_most_32_bytes():
    count = 1000
    source = ShardSource(["a"], *np.zeros((3, count), int), np.zeros(count, int))
    arrays = [value for value in vars(source).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) <= 32 * count
