import shutil

import pytest
from prepared import jpeg
from shards import samples, write_parquet, write_tar

from simclr_keras.data.datasets import has_test_part, load_source
from simclr_keras.data.shard_folders import holds_shards
from simclr_keras.data.shard_source import ShardSource
from simclr_keras.errors import InputError

NAMES = ["cats", "dogs"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMCLR_KERAS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[".parquet", ".tar"])
def kind(request):
    return request.param


def _write(path, first, count, label=None):
    """Shards of `count` images from number `first` on, in two classes."""
    numbers = range(first, first + count)
    images = [jpeg(number) for number in numbers]
    labels = [number % 2 if label is None else label for number in numbers]
    if path.suffix == ".tar":
        write_tar(path, samples(images, labels, first))
    else:
        write_parquet(path, images, labels, NAMES)
    return images


def test_a_folder_of_shards_is_a_source(tmp_path, kind):
    folder = tmp_path / "photos"
    images = [x for k in range(3) for x in _write(folder / f"{k:03}{kind}", 5 * k, 5)]
    assert holds_shards(folder) and not has_test_part(str(folder))
    source = load_source(str(folder), "all")
    assert type(source) is ShardSource and source.name == str(folder)
    assert [source.read(k) for k in range(15)] == images
    assert source.labels.tolist() == [k % 2 for k in range(15)]
    assert source.class_names == (("0", "1") if kind == ".tar" else tuple(NAMES))
    train, test = (load_source(str(folder), split) for split in ("train", "test"))
    assert len(train) == 12 and len(test) == 3
    assert sorted([*train.places, *test.places]) == list(range(15))


@pytest.mark.parametrize(
    "train, test",
    [
        ("data/train-00000-of-00001", "data/test-00000-of-00001"),
        ("train/000", "val/000"),
        ("photos-000", "photos-validation-000"),
    ],
)
def test_splits_are_in_the_names(tmp_path, kind, train, test):
    folder = tmp_path / "data of test"  # the name of the folder itself does not count
    _write(folder / (train + kind), 0, 6)
    _write(folder / (test + kind), 6, 3)
    assert has_test_part(str(folder))
    for split, numbers in (("all", range(6)), ("train", range(6)), ("test", range(6, 9))):
        source = load_source(str(folder), split)
        assert [source.read(k) for k in range(len(source))] == [jpeg(k) for k in numbers]


def test_what_is_tested_on_has_labels(tmp_path, kind):
    for number, part in enumerate(("train", "test", "validation")):
        label = -1 if part == "test" else None
        _write(tmp_path / "photos" / f"{part}-0{kind}", 4 * number, 4, label)
    test = load_source(str(tmp_path / "photos"), "test")
    assert test.read(0) == jpeg(8) and test.has_labels


def test_shards_without_a_training_part(tmp_path, kind):
    _write(tmp_path / "photos" / f"test-0{kind}", 0, 4)
    with pytest.raises(InputError, match="has shards of test but none to train on"):
        load_source(str(tmp_path / "photos"), "all")


def test_a_mixture_is_refused(tmp_path, kind, image_folder):
    folder = tmp_path / "photos"
    _write(folder / f"a{kind}", 0, 2)
    shutil.copy(image_folder / "cats" / "00.png", folder / "b.png")
    with pytest.raises(InputError) as error:
        load_source(str(folder), "all")
    assert f"{folder} holds files of several kinds: 1 " in str(error.value)
    assert f"1 {kind} (a{kind})" in str(error.value)
    assert "1 images (b.png)" in str(error.value)
    (folder / "b.png").unlink()
    _write(folder / {".tar": "b.parquet", ".parquet": "b.tar"}[kind], 2, 2)
    with pytest.raises(InputError, match="Expected images, .parquet or .tar files alone"):
        load_source(str(folder), "all")


def test_a_folder_of_images_stays_one(image_folder):
    assert not holds_shards(image_folder)
    assert not isinstance(load_source(str(image_folder), "all"), ShardSource)


def test_damaged_images_are_named_and_skipped(tmp_path, kind):
    folder = tmp_path / "photos"
    images = [jpeg(k) for k in range(5)]
    images[3] = images[3][:-20]
    if kind == ".tar":
        write_tar(folder / "a.tar", samples(images, range(5)))
    else:
        write_parquet(folder / "a.parquet", images, list(range(5)), list("abcde"))
    with pytest.raises(InputError, match=r"1 of 5 images .* a\.\w+, (000003.jpg|row 3) \(dama"):
        load_source(str(folder), "all")
    kept = load_source(str(folder), "all", skip_unreadable=True)
    assert kept.places.tolist() == [0, 1, 2, 4] == kept.labels.tolist()
    assert [kept.read(k) for k in range(4)] == [images[k] for k in kept.places]
