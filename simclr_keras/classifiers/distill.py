"""`distill`: trains a student on a teacher's predictions for unlabelled images."""

import logging
import os
import typing
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from ..data.sources import ImageSource, as_source
from ..errors import InputError
from ..networks.precision import copy_of
from ..settings import POSITIVE, SHARE_OR_NONE, check_range
from .record import digest
from .settings import TrainingSettings
from .training import TrainedClassifier, side_of_views, train_classifier

_LOGGER = logging.getLogger("simclr_keras")
_EPOCHS = 100  # 400 in the paper; 100 is the default of pretraining


def distillation_losses(
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    temperature: float,
    labels: tf.Tensor | None = None,
    label_weight: float = 0.0,
    labelled_share: float | None = None,
) -> tf.Tensor:
    """Cross-entropy of the student's predictions against the teacher's.

    With P(y|x; tau) = softmax(logits / tau), the loss is the mean over the batch of (equation 2
    of SimCLR v2):

        - sum_y P_T(y|x; tau) log P_S(y|x; tau)

    With a weight w for true labels, a mean over the labelled images is added (equation 3 with
    alpha = 1 - w; means replace its sums, so that w does not depend on the number of labels):

        (1 - w) * (the above) - w * log P_S(label|x; 1)

    If the batch is part of a larger set with a labelled share s, the second term estimates the
    mean over the labelled images of the set: it is the sum over those of the batch, divided by
    s * N. Its mean over the batches of an epoch is that of the set, however few batches hold a
    label.

    No gradient reaches the teacher. Computed in float32.

    Args:
        teacher_logits: floating `(N, C)`.
        student_logits: floating `(N, C)`.
        temperature: tau > 0.
        labels: Integers `(N,)`, -1 for unlabelled images. Defaults to no labels.
        label_weight: w in [0, 1].
        labelled_share: s in (0, 1], if the batch is part of a larger set. Defaults to the share
            of the batch, as if it were the whole set.

    Returns:
        float32 `(N,)`: a term for each image, whose mean is the loss.

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 2.3.
    """
    teacher_logits = tf.stop_gradient(tf.cast(teacher_logits, tf.float32))
    student_logits = tf.cast(student_logits, tf.float32)
    losses = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(teacher_logits / temperature), student_logits / temperature
    )
    losses *= 1.0 - label_weight
    if labels is None or not label_weight:
        return losses
    known = tf.cast(labels >= 0, tf.float32)
    true = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), student_logits)
    share = tf.reduce_mean(known) if labelled_share is None else labelled_share
    return losses + label_weight * tf.math.divide_no_nan(true * known, share)


def distill(
    teacher: keras.Model,
    student: keras.Model,
    images: np.ndarray | tf.data.Dataset | ImageSource,
    labels: np.ndarray | None = None,
    temperature: float = 0.1,
    label_weight: float = 0.0,
    image_size: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoints_in: str | os.PathLike | None = None,
    **settings: typing.Any,
) -> TrainedClassifier:
    """Trains a student to match a teacher's predictions on images that need no labels.

    This is self-training if both have the same architecture, and compression if the student is
    smaller. Both see the same view of each image (crop and flip); the teacher runs in inference
    mode. See `distillation_losses` for the formula. Called in the scope of a `tf.distribute`
    strategy, it trains on all replicas.

    Args:
        teacher: Model from images in [0, 1] to logits `(N, C)`, such as one from `fine_tune`.
        student: Functional model like the teacher whose last layer is the classifier. It is not
            modified: a copy is trained.
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1; batches of them, read into
            memory; or an `ImageSource`, read as needed.
        labels: Integers `(N,)`, -1 for unlabelled images; used only with `label_weight`.
        temperature: tau. The paper uses 0.1 for self-training and 1.0 for smaller students.
        label_weight: w in [0, 1], the weight of the true labels in the loss. It applies to the
            mean over all labelled images, however few there are.
        image_size: Height and width of the views in pixels. Defaults to the student's input
            size, or the images' height.
        callbacks: Further Keras callbacks. What Keras calls an epoch is an interval of training,
            about a twentieth of the steps; its logs are `loss`, `accuracy`.
        checkpoints_in: Folder for checkpoints, written at each interval: the same call continues
            from there. Defaults to none.
        **settings: Fields of `TrainingSettings`, as in `fine_tune`.

    Returns:
        The named tuple `(classifier, history, best_step, plan)`; the classifier is the
        trained copy of the student.

    Raises:
        InputError: If teacher and student have different classes, labels are missing, or a
            setting is out of its range, the batch does not divide over the replicas, or the
            checkpoints are those of another training.
        RunFailure: If the loss is not finite.

    Example:
        >>> import keras
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> def network():
        ...     images = keras.Input((8, 8, 3))
        ...     features = keras.layers.GlobalAveragePooling2D()(images)
        ...     return keras.Model(images, keras.layers.Dense(2)(features))
        >>> images = np.zeros((8, 8, 8, 3), "uint8")
        >>> distilled = sk.distill(network(), network(), images, steps=2)
        >>> distilled.classifier.output_shape
        (None, 2)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Sections 2.3 and 3.
    """
    training = TrainingSettings(**settings)
    source = as_source(images, labels)
    classes = [model.output_shape[-1] for model in (teacher, student)]
    if classes[0] != classes[1]:
        raise InputError(
            "Teacher and student must have the same classes. Received: "
            f"{classes[0]} and {classes[1]} logits"
        )
    check_range("temperature", temperature, POSITIVE)
    check_range("label_weight", label_weight, SHARE_OR_NONE)
    if label_weight and not source.has_labels:
        raise InputError(
            f"A weight for true labels needs labelled images. Received: label_weight={label_weight}, "
            f"{len(source)} images without labels"
        )
    image_size = side_of_views(image_size, student, source)

    share = float(np.mean(source.labels >= 0))

    def losses_of(views, logits, labels):
        return distillation_losses(
            teacher(views, training=False), logits, temperature, labels, label_weight, share
        )

    plan = training.plan("distill", len(source), _EPOCHS)
    if label_weight and share * plan.batch_size < 1:
        _LOGGER.warning(
            "A batch of %d holds %.2g labelled images on average, so many steps see no true "
            "label and the others scale its loss by %.3g. Increase `batch_size` for a steadier loss.",
            plan.batch_size,
            share * plan.batch_size,
            1 / (share * plan.batch_size),
        )
    _LOGGER.info(
        "Distilling on %d images: %d steps of %d images, %s with a learning rate of %.4g",
        len(source),
        *plan,
    )
    return train_classifier(
        copy_of(student),
        source,
        losses_of,
        plan,
        training,
        image_size,
        callbacks=callbacks,
        checkpoints_in=checkpoints_in,
        title="Distillation",
        temperature=temperature,
        label_weight=label_weight,
        teacher=digest(teacher.get_weights()),
    )
