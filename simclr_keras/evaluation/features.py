"""`extract_features`: the features of a frozen encoder for every image."""

import keras
import numpy as np
import tensorflow as tf

from ..data.bad_images import BadImages
from ..data.datasets import evaluation_dataset, numbered
from ..data.images import UNIT_RANGE, to_unit_range
from ..data.parallel import without_tuning
from ..data.sources import ImageSource
from ..progress import counted


def extract_features(
    encoder: keras.Model,
    dataset: tf.data.Dataset | np.ndarray | tuple,
    batch_size: int = 256,
    value_range: tuple[float, float] = UNIT_RANGE,
) -> tuple[np.ndarray, np.ndarray]:
    """Encodes images in inference mode; weights and batch-norm statistics do not change.

    Args:
        encoder: Model from images in [0, 1] to `(N, D)`.
        dataset: Batches of images or (images, labels), or arrays of either: `(N, H, W, C)`,
            uint8 in 0-255 or floating in `value_range`. Every image is used exactly once.
        batch_size: Images per forward pass, used for arrays only.
        value_range: Range of floating-point images; (0, 255) for those of
            `image_dataset_from_directory`.

    Returns:
        `(features, labels)`: float32 `(N, D)` and int64 `(N,)`, -1 where there is no label.

    Raises:
        ValueError: If there are no images, or they are out of range.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> features, labels = sk.extract_features(encoder, np.zeros((5, 16, 16, 3), "uint8"))
        >>> features.shape, labels.tolist()
        ((5, 64), [-1, -1, -1, -1, -1])

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Section 2.3 (linear evaluation).
    """
    if not isinstance(dataset, tf.data.Dataset):
        dataset = without_tuning(tf.data.Dataset.from_tensor_slices(dataset).batch(batch_size))
    has_labels = isinstance(dataset.element_spec, tuple)
    spec = dataset.element_spec[0] if has_labels else dataset.element_spec
    # The last batch may be smaller.
    any_count = tf.TensorSpec([None, *spec.shape[1:]], spec.dtype)

    @tf.function(input_signature=[any_count])
    def forward(images):
        return tf.cast(encoder(to_unit_range(images, value_range), training=False), tf.float32)

    features, labels = [], []
    batches = int(dataset.cardinality())
    with counted("Features", batches if batches > 0 else None, "batches") as show:
        for batch in dataset:
            images = batch[0] if has_labels else batch
            features.append(forward(images).numpy())
            known = batch[1].numpy() if has_labels else np.full(len(images), -1)
            labels.append(known.reshape(-1).astype(np.int64))
            show(len(labels))
    if not features:
        raise ValueError("`dataset` has no images. Received: an empty dataset")
    return np.concatenate(features), np.concatenate(labels)


def readable_features(
    encoder: keras.Model, source: ImageSource, image_size: int, batch_size: int, bad: BadImages
) -> tuple[np.ndarray, ImageSource]:
    """The features of the images that can be read, and the source of these.

    Args:
        encoder: Model from images in [0, 1] to `(N, D)`.
        source: The images.
        image_size: Height and width of what the encoder gets, in pixels.
        batch_size: Images per forward pass.
        bad: Counts those that cannot be read.

    Returns:
        float32 `(n, D)`, and a source of n images.

    Raises:
        RunFailure: If too many cannot be read.
    """
    batches = evaluation_dataset(numbered(source), image_size, batch_size, skip_unreadable=True)
    try:
        features, index = extract_features(encoder, batches)
    except ValueError:  # no image at all
        bad.left_out(source, np.array([], np.int64))
        raise
    return features, bad.left_out(source, index)
