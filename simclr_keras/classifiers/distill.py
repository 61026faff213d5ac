"""`distill`: a teacher's predictions on images without labels train a student."""

import logging

import keras
import numpy as np
import tensorflow as tf

from ..data.sources import ImageSource, as_source
from ..errors import InputError
from ..settings import POSITIVE, SHARE_OR_NONE, check_range
from .settings import TrainingSettings
from .training import (
    TrainedClassifier,
    copy_of,
    side_of_views,
    train_classifier,
)

_LOGGER = logging.getLogger("simclr_keras")
_EPOCHS = 100  # 400 in the paper; as many as pretraining has by default


def distillation_loss(
    teacher_logits: tf.Tensor,
    student_logits: tf.Tensor,
    temperature: float,
    labels: tf.Tensor | None = None,
    label_weight: float = 0.0,
    labelled_share: float | None = None,
) -> tf.Tensor:
    """The cross-entropy of the student's predictions with the teacher's.

    With P(y|x; tau) = softmax(logits / tau), the mean over the batch (equation 2 of SimCLR v2):

        - sum_y P_T(y|x; tau) log P_S(y|x; tau)

    and with a weight w of true labels (equation 3, whose alpha is 1 - w; means for its sums, so
    that w does not depend on how many there are), the mean over the images that have one:

        (1 - w) * (the above) - w * log P_S(label|x; 1)

    Of a batch of a larger set, the mean over the labelled images of the set is estimated: with a
    share s of them in the set, the sum over those of the batch, divided by s * N. Its mean over
    the batches of an epoch is that of the set, however few batches hold a label.

    No gradient reaches the teacher. Computed in float32.

    Args:
        teacher_logits: floating `(N, C)`.
        student_logits: floating `(N, C)`.
        temperature: tau > 0.
        labels: Integers `(N,)`, -1 for none. Defaults to none.
        label_weight: w in [0, 1].
        labelled_share: s in (0, 1], where the batch is part of a set. Defaults to the share of
            the batch: it is the whole set.

    Returns:
        float32 scalar.

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 2.3.
    """
    teacher_logits = tf.stop_gradient(tf.cast(teacher_logits, tf.float32))
    student_logits = tf.cast(student_logits, tf.float32)
    losses = tf.nn.softmax_cross_entropy_with_logits(
        tf.nn.softmax(teacher_logits / temperature), student_logits / temperature
    )
    loss = (1.0 - label_weight) * tf.reduce_mean(losses)
    if labels is None or not label_weight:
        return loss
    known = tf.cast(labels >= 0, tf.float32)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.maximum(labels, 0), student_logits
    )
    share = tf.reduce_mean(known) if labelled_share is None else labelled_share
    labelled = tf.math.divide_no_nan(tf.reduce_mean(losses * known), share)
    return loss + label_weight * labelled


def distill(
    teacher: keras.Model,
    student: keras.Model,
    images: np.ndarray | tf.data.Dataset | ImageSource,
    labels: np.ndarray | None = None,
    temperature: float = 0.1,
    label_weight: float = 0.0,
    image_size: int | None = None,
    **settings,
) -> TrainedClassifier:
    """Trains a student to predict what a teacher predicts, on images that need no labels.

    Self-training when both have the same architecture, compression when the student is
    smaller. Both see the same view of each image (crop and flip), the teacher in inference
    mode. See `distillation_loss` for the formula.

    Args:
        teacher: Images in [0, 1] to logits `(N, C)`, such as `fine_tune` returns.
        student: Functional model like it, its last layer the classifier; stays as it is, a
            copy is trained.
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1; batches of them, read into
            memory; or an `ImageSource`, read as needed.
        labels: Integers `(N,)`, -1 for none; used with `label_weight` only.
        temperature: tau. The paper has 0.1 for self-training and 1.0 for smaller students.
        label_weight: Share of the true labels in the loss, in [0, 1]: of the mean over all
            labelled images, however few they are.
        image_size: Side of the views in pixels. Defaults to the student's input, or the
            images' height.
        **settings: Of `TrainingSettings`, as in `fine_tune`.

    Returns:
        The named tuple `(classifier, history, best_step, plan)`; the classifier is the student.

    Raises:
        InputError: If teacher and student have different classes, labels are missing, or a
            setting is out of its range.
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
    settings = TrainingSettings(**settings)
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
            f"True labels need images that have some. Received: label_weight={label_weight}, "
            f"{len(source)} images without labels"
        )
    image_size = side_of_views(image_size, student, source)

    share = float(np.mean(source.labels >= 0))

    def loss_of(views, logits, labels):
        return distillation_loss(
            teacher(views, training=False), logits, temperature, labels, label_weight, share
        )

    plan = settings.plan("distill", len(source), _EPOCHS)
    if label_weight and share * plan.batch_size < 1:
        _LOGGER.warning(
            "A batch of %d holds %.2g labelled images on average, so most steps see no true "
            "label and the others weigh it by %.3g. A larger `batch_size` makes it steadier.",
            plan.batch_size,
            share * plan.batch_size,
            1 / (share * plan.batch_size),
        )
    _LOGGER.info(
        "Distilling on %d images: %d steps of %d, %s with a learning rate of %.4g",
        len(source),
        *plan,
    )
    return train_classifier(copy_of(student), source, loss_of, plan, settings, image_size)
