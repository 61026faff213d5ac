import logging
import os

import numpy as np
import pytest

from simclr_keras.data.shard_index import Shard, kept_index
from simclr_keras.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 9)
    return [str(tmp_path / name) for name in ("a", "b", "c")]


def _index(files, damage=(), **options):
    """Shard k has k + 1 images, of the labels 10 k, 10 k + 1, ...; says how often it was asked."""
    asked = []

    def index_one(number):
        asked.append(number)
        offset = np.arange(number + 1)
        length = np.where([(number, k) in damage for k in offset], -1, 5)
        texts = {k: f"image {k} (bad)" for n, k in damage if n == number}
        return Shard(offset, length, 10 * number + offset, texts)

    return kept_index(files, "made", index_one, **options), sorted(asked)


def test_shards_follow_each_other_or_in_an_order(files):
    index, _ = _index(files)
    assert index.shard.tolist() == [0, 1, 1, 2, 2, 2]
    assert index.label.tolist() == [0, 10, 11, 20, 21, 22]
    order = np.array([5, 3, 1, 0, 2, 4])
    other, _ = _index(files, settings=["other"], order=lambda counts: order)
    assert other.label.tolist() == [22, 20, 10, 0, 11, 21]
    np.testing.assert_array_equal(other.offset, index.offset[order])
    np.testing.assert_array_equal(other.shard, index.shard[order])


def test_an_index_is_made_once(files, folder, caplog):
    with caplog.at_level(logging.INFO):
        first, asked = _index(files, damage=[(2, 1)])
        again, asked_again = _index(files)
    assert asked == [0, 1, 2] and asked_again == []
    for name in ("shard", "offset", "length", "label"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert again.damage == first.damage == ("c, image 1 (bad)",)
    (line,) = caplog.messages
    assert line == "Indexing the 3 shard(s) of made (0 MiB), which is done once."
    (kept,) = folder.iterdir()
    assert kept.name.startswith("made-") and kept.suffix == ".npz"


def _grow(files):
    with open(files[1], "ab") as file:
        file.write(b"more")


def _touch(files):
    os.utime(files[2], (1, 1))


def _remove(files):
    os.remove(files[0])


@pytest.mark.parametrize("change", [_grow, _touch, _remove])
def test_other_files_are_indexed_again(files, change, caplog):
    _index(files)
    change(files)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert _index(files)[1] == [0, 1, 2] and _index(files)[1] == []
    (line,) = caplog.messages
    assert line.endswith("again, because they have changed.")


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"PK\x03\x04"])
def test_a_damaged_index_is_made_again(files, folder, content):
    _index(files)
    (kept,) = folder.iterdir()
    kept.write_bytes(content or kept.read_bytes()[:-100])
    assert _index(files)[1] == [0, 1, 2] and _index(files)[1] == []
    assert len(list(folder.iterdir())) == 1


def test_an_index_that_cannot_be_kept(files, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "file"))
    assert len(_index(files)[0].shard) == 6
    assert "The index of made cannot be kept in" in caplog.text


def test_damaged_images_are_named_and_skipped(files, caplog):
    index, _ = _index(files, damage=[(1, 0), (2, 2)])

    def source(skip):
        return index.source(files, ("x",), "made", "{} {}".format, skip)

    with pytest.raises(InputError) as error:
        source(skip=False)
    assert str(error.value) == (
        "2 of 6 images in made cannot be read: b, image 0 (bad), c, image 2 (bad). Move them "
        "away, or pretrain with `skip_unreadable`."
    )
    kept = source(skip=True)
    assert kept.places.tolist() == [0, 2, 3, 4] and kept.labels.tolist() == [0, 11, 20, 21]
    assert "They are skipped." in caplog.text
    damage = [(k, n) for k in range(3) for n in range(k + 1)]
    index, _ = _index(files, damage=damage, settings=["all"])
    with pytest.raises(InputError, match="6 of 6 .* and 3 more. Nothing is left"):
        source(skip=True)
