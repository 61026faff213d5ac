"""The three kinds of sources, through the one interface that everything else uses."""

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.data.file_source import FileSource
from simclr_keras.data.sources import ArraySource, EncodedSource, as_source
from simclr_keras.errors import InputError

NAMES = ("cats", "dogs")
LABELS = [1, -1, 0, 1]
KINDS = ("array", "encoded", "files")


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (4, 6, 5, 3), "uint8")


@pytest.fixture
def sources(images, tmp_path):
    """The same four images of each kind."""
    encoded = [tf.io.encode_png(image).numpy() for image in images]
    paths = [f"{index}.png" for index in range(4)]
    for path, content in zip(paths, encoded):
        (tmp_path / path).write_bytes(content)
    return {
        "array": ArraySource(images, LABELS, NAMES),
        "encoded": EncodedSource(encoded, LABELS, NAMES),
        "files": FileSource(paths, LABELS, NAMES, root=str(tmp_path)),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("traced", [False, True])
def test_every_kind_gives_the_same_images(sources, images, kind, traced):
    source = sources[kind]
    assert len(source) == 4 and source.channels == 3 and source.has_labels
    assert source.image_shape == ((6, 5, 3) if kind == "array" else None)
    indices = tf.data.Dataset.range(4)
    loaded = list(indices.map(source.load) if traced else map(source.load, range(4)))
    np.testing.assert_array_equal(loaded, images)


@pytest.mark.parametrize("kind", KINDS)
def test_a_subset_of_a_subset_knows_its_places(sources, images, kind):
    source = sources[kind]
    source.load(0)  # what the whole keeps in memory is not the subset's
    part = source.subset([3, 1, 0]).subset([2, 0])
    assert type(part) is type(source) and len(part) == 2
    assert part.places.tolist() == [0, 3] and part.labels.tolist() == [1, 1]
    assert part.class_names == NAMES and part.name == source.name
    np.testing.assert_array_equal([part.load(0), part.load(1)], images[[0, 3]])
    np.testing.assert_array_equal(source.load(1), images[1])


@pytest.mark.parametrize("kind", KINDS)
def test_other_labels_leave_the_source_as_it_was(sources, images, kind):
    source = sources[kind]
    other = source.with_labels([-1] * 4, ("birds",))
    assert not other.has_labels and other.class_names == ("birds",)
    assert source.labels.tolist() == LABELS and source.class_names == NAMES
    np.testing.assert_array_equal(other.load(2), images[2])


def test_an_array_is_read_many_images_at_a_time(sources, images):
    found = sources["array"].read(tf.constant([[2, 0], [1, 3]]))
    np.testing.assert_array_equal(found, images[[[2, 0], [1, 3]]])


def test_gray_arrays_keep_their_channel():
    source = ArraySource(np.zeros((2, 4, 4, 1), "uint8"))
    assert source.channels == 1 and source.image_shape == (4, 4, 1) and not source.has_labels


def test_arrays_are_checked():
    with pytest.raises(ValueError, match=r"shape \(N, H, W, C\).*\(2, 3, 4\)"):
        ArraySource(np.zeros((2, 3, 4), "uint8"))
    with pytest.raises(ValueError, match=r"shape \(2,\).*labels.shape=\(3,\)"):
        ArraySource(np.zeros((2, 4, 4, 3), "uint8"), [1, 2, 3])
    for kind in (EncodedSource, FileSource):
        with pytest.raises(ValueError, match=r"shape \(2,\).*labels.shape=\(1,\)"):
            kind(["a", "b"], [0])
    with pytest.raises(ValueError, match="images.dtype=int64"):
        ArraySource(np.zeros((2, 4, 4, 3), "int64"))


def test_classes_without_names_are_numbers(images):
    assert ArraySource(images, LABELS).class_names == ("0", "1")
    assert ArraySource(images, LABELS, ()).class_names == ()


def test_a_last_zero_of_an_encoded_image_is_kept():
    assert EncodedSource([b"ab\0"]).read(0) == b"ab\0"


def test_the_typical_side_is_read_from_the_headers_of_jpegs(tmp_path, sources):
    for index, (height, width) in enumerate([(10, 90), (40, 30), (50, 70)]):
        content = tf.io.encode_jpeg(np.zeros((height, width, 3), "uint8"))
        (tmp_path / f"{index}.jpg").write_bytes(content.numpy())
    (tmp_path / "3.jpg").write_bytes(b"\xff\xd8\xff broken")
    source = FileSource(["0.jpg", "1.jpg", "2.jpg", "3.jpg"], root=str(tmp_path))
    assert source.typical_side() == 30
    assert source.subset([0]).typical_side() == 10
    assert [sources[kind].typical_side() for kind in KINDS] == [None] * 3  # of PNGs


def test_what_cannot_be_read_is_found(sources, tmp_path):
    (tmp_path / "2.png").write_bytes(b"")
    found = {kind: source.find_unreadable() for kind, source in sources.items()}
    assert found == {"array": {}, "encoded": {}, "files": {2: "empty file"}}
    assert sources["files"].find_unreadable([0, 1]) == {}
    encoded = EncodedSource([sources["encoded"].encoded[0], b"no image"])
    assert encoded.subset([1, 0]).find_unreadable() == {
        0: "not a JPEG, PNG, GIF, BMP or WebP image"
    }
    assert encoded.subset([1]).name_of(0) == "image 1"


def test_whatever_holds_images_becomes_a_source(images, sources):
    labels = np.array(LABELS)
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(3)
    for source in (as_source(images, labels), as_source(batches)):
        np.testing.assert_array_equal(source.images, images)
        assert source.labels.tolist() == LABELS
    assert not as_source(batches.map(lambda x, y: x)).has_labels
    assert as_source(sources["files"]) is sources["files"]
    with pytest.raises(InputError, match="Labels belong in the dataset"):
        as_source(batches, labels)
    with pytest.raises(InputError, match="empty dataset"):
        as_source(batches.take(0))
