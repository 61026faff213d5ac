"""`fine_tune`: trains a whole pretrained network and a new classifier on few labels."""

import logging
import os
import typing
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from ..data.bad_images import BadImages
from ..data.datasets import evaluation_dataset
from ..data.sources import ImageSource, as_source
from ..errors import InputError
from ..networks.precision import copy_of
from ..networks.projection_head import ProjectionHead
from ..seeds import seed_of_32_bits
from ..settings import PART, check_range
from .frozen import fit_last_layer
from .labels import choose_labels
from .settings import TrainingSettings
from .training import TrainedClassifier, side_of_views, train_classifier

_LOGGER = logging.getLogger("simclr_keras")
# The paper's epochs on 1 % of ImageNet's labels (13,000), and on 10 % and all of them.
_EPOCHS, _MANY_LABELS, _EPOCHS_OF_MANY = 60, 50_000, 30
_PATIENCE = 8  # evaluations without improvement, of about twenty


def fine_tune(
    encoder: keras.Model,
    images: np.ndarray | tf.data.Dataset | ImageSource,
    labels: np.ndarray | None = None,
    projection_head: ProjectionHead | None = None,
    head_layers: int = 1,
    validation_fraction: float = 0.1,
    num_classes: int | None = None,
    image_size: int | None = None,
    frozen: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints_in: str | os.PathLike | None = None,
    **settings: typing.Any,
) -> TrainedClassifier:
    """Fine-tunes a pretrained encoder and a new classifier on labelled images.

    The classifier is one dense layer on top of a layer of the projection head, the first in
    SimCLR v2. Head layers up to that one are trained with the encoder; later ones are dropped.
    Images are only cropped and mirrored. With enough images the defaults are the paper's: LARS
    with momentum 0.9 and a learning rate of 0.005 * sqrt(B) that decays to 0 by a cosine, no
    weight decay, no warm-up, batches of 1024, 60 epochs (30 with 50,000 labels or more). For
    fewer images see `TrainingSettings.plan`.

    The weights with the best accuracy on a stratified, held-out validation part of the labelled
    images are kept. If a class has too few images to hold one out, nothing is held out and the
    last weights are kept.

    With `frozen`, only the classifier is fitted, by `LinearProbe` on what is below it; that takes
    seconds. Of the settings, `seed` and `max_bad_fraction` count.

    Called in the scope of a `tf.distribute` strategy, it trains on all replicas.

    Args:
        encoder: Functional `keras.Model` from images in [0, 1] to features; it is not
            modified. A freshly built one gives the supervised baseline.
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1; batches of (images, labels),
            read into memory; or an `ImageSource`, read as needed.
        labels: Integers `(N,)`; images with -1 are ignored.
        projection_head: The head pretrained with the encoder; it is not modified. Defaults to
            none.
        head_layers: Number of head layers to keep; 0 puts the classifier on the features.
            Always 0 without a projection head.
        validation_fraction: Share of each class that is held out, in [0, 1); 0 holds out none.
        num_classes: C. Defaults to the source's number of classes, or the largest label + 1.
        image_size: Height and width of the views in pixels. Defaults to the encoder's input
            size, or the images' height.
        frozen: Keep the network as it is. Defaults to `False`.
        callbacks: Further Keras callbacks. What Keras calls an epoch is an interval of training,
            about a twentieth of the steps; its logs are `loss`, `accuracy` and `validation_accuracy`.
        checkpoints_in: Folder for checkpoints, written at each interval: the same call continues
            from there. Defaults to none.
        **settings: Fields of `TrainingSettings`: `epochs`, `steps`, `batch_size`, `optimizer`
            (`"auto"`, `"lars"`, `"adamw"`, `"sgd"`), `learning_rate`, `weight_decay`,
            `crop_area_min`, `flip`, `mixed_precision`, `seed`.

    Returns:
        The named tuple `(classifier, history, best_step, plan)`; the classifier maps images in
        [0, 1] to float32 logits `(N, C)`.

    Raises:
        InputError: If there are no labels or fewer than two classes, or a setting is out of
            its range, the batch does not divide over the replicas, or the checkpoints are those
            of another training.
        RunFailure: If the loss is not finite.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> images = np.zeros((8, 16, 16, 3), "uint8")
        >>> tuned = sk.fine_tune(encoder, images, [0, 1] * 4, steps=2)
        >>> tuned.classifier.output_shape
        (None, 2)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Sections 2.2 and 3;
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.5 (SGD).
    """
    training = TrainingSettings(**settings)
    if frozen:
        training.check_frozen()
    source = as_source(images, labels)
    labelled = np.flatnonzero(source.labels >= 0)
    count = len(np.unique(source.labels[labelled]))
    if count < 2:
        raise InputError(
            f"A classifier needs labels of at least two classes. Received: {len(labelled)} labels "
            f"of {count}"
        )
    source = source.subset(labelled)
    if num_classes is None:
        num_classes = max(len(source.class_names), int(source.labels.max()) + 1)
    elif num_classes <= source.labels.max():
        raise InputError(
            f"`num_classes` must be above every label. Received: num_classes={num_classes}, "
            f"a label of {source.labels.max()}"
        )
    image_size = side_of_views(image_size, encoder, source)
    classifier = build_classifier(
        encoder, num_classes, projection_head, head_layers, training.seed
    )
    if frozen:
        _LOGGER.info(
            "Fitting a linear classifier on %d labels of %d classes", len(source), num_classes
        )
        return fit_last_layer(classifier, source, image_size, training)
    part = _validation_part(source.labels, validation_fraction, training.seed)
    validation = None
    if len(part):
        held_out = source.subset(part)
        # A file that vanishes later is left out without a word; training names its own.
        held_out = BadImages(len(part), training.most_bad).left_out(
            held_out, np.setdiff1d(np.arange(len(part)), list(held_out.find_unreadable()))
        )
        batches = evaluation_dataset(held_out, image_size, 256, skip_unreadable=True)
        validation = (batches, _PATIENCE)
        kept = np.setdiff1d(np.arange(len(source)), part)
        if len(np.unique(source.labels[kept])) < count:
            raise InputError(
                f"So large a validation part leaves a class without labels to learn from: {len(kept)} "
                f"of {len(source)} labels are left. Lower `validation_fraction`. Received: "
                f"validation_fraction={validation_fraction:g}"
            )
        source = source.subset(kept)
    epochs = _EPOCHS if len(source) < _MANY_LABELS else _EPOCHS_OF_MANY
    plan = training.plan("fine-tune", len(source), epochs)
    _LOGGER.info(
        "Fine-tuning on %d labels of %d classes (%s): %d steps of %d images, %s with a learning "
        "rate of %.4g",
        len(source),
        num_classes,
        f"{len(part)} held out" if len(part) else "none held out: the last weights are kept",
        *plan,
    )
    return train_classifier(
        classifier,
        source,
        _cross_entropies,
        plan,
        training,
        image_size,
        validation,
        callbacks,
        checkpoints_in,
        title="Fine-tuning",
    )


def build_classifier(
    encoder: keras.Model,
    num_classes: int,
    projection_head: ProjectionHead | None = None,
    head_layers: int = 1,
    seed: int = 0,
) -> keras.Model:
    """Copies an encoder and the first layers of its head, and adds a new dense layer on top.

    Args:
        encoder: Images in [0, 1] to features.
        num_classes: C.
        projection_head: A head, which has random weights if it is not built, or none.
        head_layers: How many of its layers to keep.
        seed: Determines the dense layer's initial weights: normal, standard deviation 0.01.

    Returns:
        Functional model from images to float32 logits `(N, C)`.

    Raises:
        InputError: If the head has fewer than `head_layers` layers.
    """
    layers = projection_head.num_layers if projection_head else 0
    if projection_head and not 0 <= head_layers <= layers:
        raise InputError(
            f"`head_layers` must be between 0 and {layers}, the number of layers in the "
            f"projection head. Received: head_layers={head_layers}"
        )
    if projection_head and not projection_head.built:  # a copy: the caller's stays as it is
        projection_head = ProjectionHead.from_config(projection_head.get_config())
        projection_head.build(encoder.output_shape)
    images = keras.Input(encoder.input_shape[1:], name="images")
    hidden = copy_of(encoder)(images)
    if projection_head:
        hidden = projection_head.apply_copies(hidden, head_layers)
    logits = keras.layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.RandomNormal(
            stddev=0.01, seed=seed_of_32_bits(seed)
        ),
        dtype="float32",
        name="classifier",
    )(hidden)
    return keras.Model(images, logits, name=f"{encoder.name}_classifier")


def _validation_part(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Sorted indices of a share of every class; empty if a class is too small to give one."""
    check_range("validation_fraction", fraction, PART)
    fewest = np.unique(labels, return_counts=True)[1].min()
    if fraction * fewest < 1:
        return np.zeros(0, np.int64)
    return choose_labels(labels, label_fraction=fraction, seed=seed)


def _cross_entropies(views, logits, labels):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
