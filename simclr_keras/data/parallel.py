"""Pipelines with a fixed degree of parallelism, which TensorFlow does not tune."""

import os
from collections.abc import Callable

import tensorflow as tf


def map_examples(examples: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """Maps examples in order, two at a time for each core.

    `tf.data.AUTOTUNE` starts with one at a time, and a small dataset is done before it adapts.

    Args:
        examples: The examples.
        function: Of an example.
    """
    return examples.map(function, num_parallel_calls=2 * (os.cpu_count() or 1))


def map_batches(batches: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """Maps batches in order, two at a time: however many cores there are, they fit into memory.

    Args:
        batches: The batches.
        function: Of a batch.
    """
    return batches.map(function, num_parallel_calls=2)


def without_tuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset, whose iterators start no thread that tunes them.

    That thread models the pipeline again and again at the cost of a core, and the end of an
    iterator waits for it: on two cores, up to 37 seconds between two calls of `fit`.

    Args:
        dataset: The dataset.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
