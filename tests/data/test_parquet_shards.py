import numpy as np
import pytest
import tensorflow as tf
from prepared import jpeg
from shards import write_parquet

from simclr_keras.data.parquet_shards import (
    find_columns,
    index_parquet,
    parquet_name,
    parquet_reader,
)
from simclr_keras.errors import InputError

COUNT, NAMES = 10, ["cats", "dogs", "birds"]


@pytest.fixture
def images():
    images = [jpeg(number) for number in range(COUNT)]
    images[7] = images[2]  # which a dictionary stores once
    return images


def _read(file, shard):
    reader = parquet_reader(find_columns(str(file)))(str(file))
    return [reader.read(int(o), int(n)) for o, n in zip(shard.offset, shard.length)]


@pytest.mark.parametrize("as_struct", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        dict(compression="snappy"),
        dict(compression="none"),
        dict(compression="none", use_dictionary=False, row_group_size=100),
        dict(compression="zstd", use_dictionary=False, data_page_size=500),
        dict(compression="none", data_page_size=500, data_page_version="2.0"),
    ],
)
def test_images_and_labels(images, tmp_path, as_struct, options):
    file = tmp_path / "a.parquet"
    labels = [number % 3 for number in range(COUNT)]
    write_parquet(file, images, labels, NAMES, as_struct, **options)
    columns = find_columns(str(file))
    assert columns == ("image.bytes" if as_struct else "image", "label", tuple(NAMES))
    shard = index_parquet(str(file), columns)
    assert _read(file, shard) == images and not shard.damage
    assert shard.label.tolist() == labels
    is_plain = options["compression"] == "none"
    assert ((shard.offset >= 0) == is_plain).all()
    content = file.read_bytes()
    for offset, image in zip(shard.offset, images):
        assert not is_plain or content[offset:].startswith(image)


def test_rows_are_read_in_any_order_from_many_threads(images, tmp_path):
    file = tmp_path / "a.parquet"
    images = [bytes([k % 256]) * 20_000 + image for k, image in enumerate(images * 20)]
    write_parquet(file, images, row_group_size=2)
    reader = parquet_reader(find_columns(str(file)))(str(file))

    def read(row):
        return reader.read(-1 - int(row), 0)

    order = np.random.default_rng(0).permutation(np.repeat(np.arange(len(images)), 8))
    dataset = tf.data.Dataset.from_tensor_slices(order)
    dataset = dataset.map(
        lambda index: tf.numpy_function(read, [index], tf.string), num_parallel_calls=16
    )
    for index, content in zip(order, dataset.as_numpy_iterator()):
        assert content == images[index]


def test_columns_without_a_description(images, tmp_path):
    file = str(tmp_path / "a.parquet")
    write_parquet(file, images, list(range(COUNT)))
    assert find_columns(file) == ("image.bytes", "label", None)
    write_parquet(file, images)
    assert find_columns(file) == ("image.bytes", None, None)
    assert (index_parquet(file, find_columns(file)).label == -1).all()


def test_labels_that_are_missing(images, tmp_path):
    file = str(tmp_path / "a.parquet")
    write_parquet(file, images, [None, -1, *range(COUNT - 2)], NAMES)
    label = index_parquet(file, find_columns(file)).label
    assert label.tolist() == [-1, -1, *range(COUNT - 2)]


@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_images_that_cannot_be_read(images, tmp_path, compression):
    file = str(tmp_path / "a.parquet")
    images[1], images[6] = None, images[6][:-30]
    write_parquet(file, images, compression=compression)
    shard = index_parquet(file, find_columns(file))
    assert sorted(shard.damage) == [1, 6]
    assert shard.damage[1] == "row 1 (no bytes)"
    assert shard.damage[6].startswith("row 6 (damaged, truncated, or")
    assert (shard.length >= 0).tolist() == [k not in (1, 6) for k in range(COUNT)]


def test_a_damaged_page_costs_its_row_group(images, tmp_path):
    file = tmp_path / "a.parquet"
    write_parquet(file, images, row_group_size=4, write_page_checksum=True)
    import pyarrow.parquet

    group = pyarrow.parquet.ParquetFile(file).metadata.row_group(1)
    place = next(
        group.column(k).data_page_offset
        for k in range(group.num_columns)
        if group.column(k).path_in_schema == "image.bytes"
    )
    content = bytearray(file.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    file.write_bytes(content)
    shard = index_parquet(str(file), find_columns(str(file)))
    assert list(shard.damage) == [4] and shard.damage[4].endswith(", with the 3 after it)")
    assert (shard.length >= 0).tolist() == [True] * 4 + [False] * 4 + [True] * 2
    assert parquet_name(str(file), -5) == "a.parquet, row 4"
    assert parquet_name(str(file), 17) == "a.parquet, byte 17"


def test_what_is_refused(images, tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet

    file = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"a": [1], "b": ["x"]}), file)
    with pytest.raises(InputError, match="no column of encoded images, only a, b: expected b"):
        find_columns(str(file))
    file.write_bytes(b"no Parquet")
    with pytest.raises(InputError, match="a.parquet is no Parquet file, or it is damaged"):
        find_columns(str(file))
    monkeypatch.setattr("simclr_keras.data.parquet_shards._GROUP_BYTES", 100)
    write_parquet(file, images)
    with pytest.raises(InputError, match="row group of 0 MiB, which would be read for each"):
        index_parquet(str(file), find_columns(str(file)))
    write_parquet(file, images, compression="none")
    assert not index_parquet(str(file), find_columns(str(file))).damage
