"""Fits the last layer of a classifier by logistic regression; all below it stays as it is."""

import keras
import numpy as np

from ..data.bad_images import BadImages
from ..data.sources import ImageSource
from ..errors import InputError
from ..evaluation.features import readable_features
from ..evaluation.linear_probe import LinearProbe
from .settings import TrainingSettings
from .training import TrainedClassifier

_BATCH = 256
_NEVER = -1e6  # the logit of a class without labels


def fit_last_layer(
    classifier: keras.Model, source: ImageSource, image_size: int, settings: TrainingSettings
) -> TrainedClassifier:
    """Fits the last layer as linear evaluation does, on each image's central square, once.

    Args:
        classifier: Model from images in [0, 1] to logits `(N, C)`, whose last layer is dense;
            receives the weights of that layer.
        source: The labelled images.
        image_size: Height and width of the squares.
        settings: Seed, and the share of the images that may be unreadable.

    Returns:
        A `TrainedClassifier` of no step.

    Raises:
        InputError: If only images of one class can be read.
        RunFailure: If too many images cannot be read.
    """
    features_of = keras.Model(classifier.input, classifier.layers[-1].input)
    bad = BadImages(len(source), settings.most_bad)
    features, readable = readable_features(features_of, source, image_size, _BATCH, bad)
    labels = readable.labels
    if len(np.unique(labels)) < 2:
        raise InputError(
            "A classifier needs images of at least two classes that can be read. Received: "
            f"{len(np.unique(labels))} in {len(labels)} images"
        )
    probe = LinearProbe(seed=settings.seed).fit(features, labels)
    fitted_kernel, fitted_bias = probe.dense_weights()
    kernel, bias = (np.zeros_like(w) for w in classifier.layers[-1].get_weights())
    bias[:] = _NEVER
    kernel[:, probe.classes_], bias[probe.classes_] = fitted_kernel, fitted_bias
    classifier.layers[-1].set_weights([kernel, bias])
    row = {
        "step": 0,
        "learning_rate": None,
        "loss": probe.loss(features, labels),
        "accuracy": probe.accuracy(features, labels),
    }
    return TrainedClassifier(classifier, [row], best_step=0, plan=None)
