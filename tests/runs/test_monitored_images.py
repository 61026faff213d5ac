import itertools

import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL_NETWORK

from simclr_keras import ArraySource, PretrainConfig, load_source
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.monitored_images import (
    Sizes,
    affordable_passes,
    choose_sizes,
    held_out_part,
    load_monitored,
    local_views,
    work_share,
)
from simclr_keras.runs.run_source import training_source


def _config(**changes):
    run = {"dataset": "digits", "run_dir": "unused", "image_size": 8, "batch_size": 64}
    return PretrainConfig(**{**run, **SMALL_NETWORK, **changes})


def _load(config, source, held_out=None, steps=50):
    strategy = tf.distribute.get_strategy()
    return load_monitored(config, source, held_out, steps, strategy)


def _digits(steps=25, **changes):
    config = _config(**changes)
    source = training_source(config, RunDirectory(config.run_dir))
    return _load(config, source, held_out_part(config, None), steps)


@pytest.mark.parametrize(
    "batch_size, steps, images",
    list(itertools.product((16, 256, 4096), (10, 50, 500), (40, 10**6))),
)
def test_a_measurement_takes_at_most_a_fiftieth_of_the_work(batch_size, steps, images):
    passes = affordable_passes(2 * batch_size, steps, (32, 32, 3))
    for labelled in (0, images):
        sizes = choose_sizes(passes, batch_size, images, labelled, 10**6)
        if sizes is not None:
            assert work_share(sizes, 2 * batch_size, steps) <= 0.02
            assert sizes.pairs <= min(batch_size, images) and sizes.queries <= labelled


def test_the_pairs_are_as_many_as_a_batch_if_that_is_affordable():
    assert choose_sizes(affordable_passes(512, 50, (8, 8, 3)), 256, 360, 360, 1437) == Sizes(
        256, 341, 683
    )
    assert choose_sizes(affordable_passes(512, 50, (8, 8, 3)), 256, 1000) == Sizes(256)
    assert choose_sizes(affordable_passes(128, 10, (8, 8, 3)), 64, 360) == Sizes(38)


def test_too_few_images_or_too_short_an_interval_is_not_measured():
    assert choose_sizes(10**6, 256, images=15) is None
    assert choose_sizes(affordable_passes(32, 2, (8, 8, 3)), 16, 1000) is None


@pytest.mark.parametrize(
    "settings, views",
    [
        ({}, 512),
        ({"views": 4}, 1024),
        # A quarter of the pixels for half of the run: 0.625 of the work.
        ({"image_size_schedule": "16@0,32@0.5"}, 320),
    ],
)
def test_the_work_of_a_step_is_that_of_its_views(settings, views):
    run = {"dataset": "digits", "run_dir": "r", "image_size": 32, "batch_size": 256}
    config = PretrainConfig(**run, **settings)
    assert local_views(config, tf.distribute.get_strategy()) == views


def test_large_images_are_fewer():
    assert affordable_passes(8192, 500, (224, 224, 3)) == 2**28 // (224 * 224 * 3)


@pytest.mark.slow
def test_images_and_views_are_the_same_each_time_and_differ_between_seeds():
    first, again, other = _digits(), _digits(), _digits(seed=1)
    assert first.part == "held_out"
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.query_labels, again.query_labels)
    assert (first.pixels != other.pixels).any()
    views = np.split(first.pixels[: 2 * first.sizes.pairs], 2)
    assert (views[0] != views[1]).any()


def test_neighbours_are_training_images_and_queries_are_test_images():
    found = _digits()
    train, test = (load_source("digits", part) for part in ("train", "test"))
    plain = found.pixels[2 * found.sizes.pairs :]
    parts = np.split(plain, [found.sizes.queries])
    labels = found.query_labels, found.neighbour_labels
    for source, pixels, known in zip((test, train), parts, labels, strict=True):
        label_of = {
            image.tobytes(): label for image, label in zip(source.images, source.labels)
        }
        assert [label_of[image.tobytes()] for image in pixels] == known.tolist()


def test_without_a_held_out_part_training_images_are_measured_but_not_against_themselves(rng):
    images = rng.integers(0, 256, (100, 8, 8, 3), "uint8")
    source = ArraySource(images, np.arange(100) % 4)
    found = _load(_config(), source)
    assert found.part == "training_images"
    assert found.sizes == Sizes(50, 50, 50)
    plain = {image.tobytes() for image in found.pixels[100:]}
    assert len(plain) == 100 and found.repeated == 0


def test_images_without_labels_have_no_neighbours(rng):
    source = ArraySource(rng.integers(0, 256, (100, 8, 8, 3), "uint8"))
    found = _load(_config(), source)
    assert found.sizes == Sizes(64) and len(found.pixels) == 128


def test_classes_are_matched_by_name(rng):
    images = rng.integers(0, 256, (120, 8, 8, 3), "uint8")
    source = ArraySource(images[:60], np.arange(60) % 2, ("cats", "dogs"))
    held_out = ArraySource(images[60:], np.arange(60) % 3, ("birds", "dogs", "cats"))
    found = _load(_config(), source, held_out)
    label_of = dict(zip((image.tobytes() for image in held_out.images), held_out.labels))
    queries = found.pixels[2 * found.sizes.pairs :][: found.sizes.queries]
    named = [held_out.class_names[label_of[image.tobytes()]] for image in queries]
    assert [source.class_names[label] for label in found.query_labels] == named
    assert "birds" not in named and len(named) == 40


def test_repeated_images_are_counted(rng):
    images = rng.integers(0, 256, (40, 8, 8, 3), "uint8")
    images[10:20] = images[0]
    found = _load(_config(), ArraySource(images))
    assert found.repeated == 11 / 40


@pytest.mark.slow
def test_the_test_part_of_a_folder_is_held_out(rng, tmp_path):
    for part, count in (("train", 40), ("test", 20)):
        for index in range(count):
            folder = tmp_path / part / "ab"[index % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (9, 10, 3), "uint8")
            (folder / f"{index}.png").write_bytes(tf.io.encode_png(pixels).numpy())
    config = _config(dataset=str(tmp_path))
    held_out = held_out_part(config, None)
    assert len(held_out) == 20
    found = _load(config, training_source(config, RunDirectory(config.run_dir)), held_out)
    assert found.part == "held_out" and found.sizes == Sizes(20, 20, 40)
    assert held_out_part(_config(dataset=str(tmp_path / "train")), None) is None
    assert held_out_part(config, held_out.subset([0])).places.tolist() == [0]
