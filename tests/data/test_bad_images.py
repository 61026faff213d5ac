import logging

import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.data.bad_images import BadImages, TrainingImages
from simclr_keras.data.order import step_indices
from simclr_keras.data.sources import EncodedSource
from simclr_keras.errors import RunFailure

COUNT, BATCH, SEED = 12, 4, 3


def _source(*bad):
    images = [tf.io.encode_png(tf.fill((4, 4, 3), tf.cast(k, tf.uint8))) for k in range(COUNT)]
    encoded = [b"no image" if k in bad else image.numpy() for k, image in enumerate(images)]
    return EncodedSource(encoded, np.arange(COUNT), [str(k) for k in range(COUNT)])


def test_the_next_image_replaces_a_bad_one_and_brings_its_label():
    source, bad_images = _source(3, 4, 11), BadImages(COUNT, 0.5)
    replaced = bad_images.replaced(source, source.find_unreadable())
    assert replaced.places.tolist() == [0, 1, 2, 5, 5, 5, 6, 7, 8, 9, 10, 0]
    assert replaced.labels.tolist() == replaced.places.tolist()
    assert list(bad_images.reasons) == ["image 3", "image 4", "image 11"]


def test_it_does_not_matter_when_they_are_found():
    source = _source(3, 4, 11)
    at_once = BadImages(COUNT, 0.5).replaced(source, source.find_unreadable())
    bad_images, later = BadImages(COUNT, 0.5), source
    for place in (3, 11, 4):  # the fourth has stood in for the third
        index = np.flatnonzero(later.places == place)
        later = bad_images.replaced(later, later.find_unreadable(index[:1]))
    np.testing.assert_array_equal(later.places, at_once.places)
    assert len(bad_images.reasons) == 3


def test_too_many_end_the_run_with_one_line():
    source = _source(1, 2)
    BadImages(COUNT, 2 / COUNT).replaced(source, source.find_unreadable())
    with pytest.raises(RunFailure) as caught:
        BadImages(COUNT, 0.1).replaced(source, source.find_unreadable())
    text = str(caught.value)
    assert "2 of 12 images in encoded images cannot be read: image 1 (not a JPEG" in text
    assert "`max_bad_fraction` allows 0.1 of them" in text and "\n" not in text
    everything = _source(*range(COUNT))
    with pytest.raises(RunFailure, match="12 of 12"):
        BadImages(COUNT, 1.0).left_out(everything, np.array([], np.int64))


def test_those_that_were_not_read_are_left_out_and_named(caplog):
    source, bad_images = _source(2), BadImages(COUNT, 0.5)
    with caplog.at_level(logging.WARNING, "simclr_keras"):
        kept = bad_images.left_out(source, np.setdiff1d(np.arange(COUNT), [2, 7]))
    assert kept.places.tolist() == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
    assert bad_images.reasons["image 7"] == "could not be decoded"
    assert "the last of them image 2 (not a JPEG" in caplog.text
    assert bad_images.left_out(kept, np.arange(len(kept))) is kept


def test_a_few_images_are_read_with_others_in_place_of_bad_ones():
    def read(source):
        return [int(source.load(index)[0, 0, 0]) for index in range(len(source))]

    bad_images = BadImages(COUNT, 0.5)
    assert bad_images.read(_source(0), read)[:3] == [1, 1, 2]

    def fail(source):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    with pytest.raises(tf.errors.ResourceExhaustedError):
        bad_images.read(_source(), fail)


def test_training_recovers_at_the_batch_that_failed():
    order = step_indices(length=COUNT, batch_size=BATCH, seed=SEED, first_step=0, num_steps=6)
    batches = [index.numpy().tolist() for _, index in order]
    bad = batches[1][2], batches[2][0]
    bad_images = BadImages(COUNT, 0.5)

    def batches_of(source, first, end):
        return source.places[batches[first]].tolist()

    images = TrainingImages(_source(*bad), batches_of, BATCH, SEED, bad_images)
    assert images.recover(1)  # which looks at this batch only
    assert list(bad_images.reasons) == [f"image {bad[0]}"]
    assert bad[0] not in images.batches(1, 2) and len(images.batches(1, 2)) == BATCH
    assert images.recover(2) and set(bad_images.reasons) == {f"image {k}" for k in bad}
    # Nothing is wrong with the images: once more, as a file may have been written meanwhile.
    assert images.recover(3) and not images.recover(3) and images.recover(4)
