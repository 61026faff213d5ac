"""`SGDLinearProbe`: linear evaluation on random crops, the paper's protocol."""

import keras
import numpy as np
import tensorflow as tf

from ..data.bad_images import BadImages, TrainingImages
from ..data.sources import ImageSource, as_source
from ..seeds import check_seed
from ..training.callbacks import StopOnNonFiniteLoss
from ..training.classifier import ClassifierTraining
from ..training.defaults import scale_learning_rate
from ..training.length import Length
from ..training.loop import fit_in_intervals
from ..training.schedules import WarmupCosine
from ..views.cutting import single_view_augmenter, single_view_batches
from .linear_probe import check_labels

_REPORTS = 10  # log lines of the loss, over all epochs


class SGDLinearProbe:
    """A linear classifier on a frozen encoder, trained by SGD on random crops of the images.

    Each step passes one view of each image, cropped and flipped (no colour, no blur), through
    the encoder in inference mode, so its weights and batch-norm statistics do not change. The
    classifier W starts at 0 and minimises the softmax cross-entropy, without weight decay, by
    SGD with Nesterov momentum 0.9. The learning rate starts at `learning_rate` * B / 256 and
    falls to 0 along half a cosine. Test images are not augmented: `scores` takes features from
    `extract_features`.

    Args:
        encoder: Model from images in [0, 1] to `(N, D)`.
        image_size: Height and width of the crops in pixels.
        epochs: Passes over the images. 90 in the paper.
        batch_size: B, images per step; capped at the number of images. 4096 in the paper.
            Images that do not fill a batch are dropped; a different remainder each epoch.
        learning_rate: Before scaling by B / 256. 0.1 in the paper.
        crop_area: Minimum and maximum share of an image that a crop covers.
        flip: Mirror half of the views.
        seed: Determines the order of the images and all views.

    Attributes:
        classes_: The labels seen in training.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> encoder = sk.build_encoder(
        ...     "simclr_resnet18", 8, width_multiplier=0.125, small_image_stem=True
        ... )
        >>> images = np.zeros((8, 8, 8, 3), "uint8")
        >>> images[4:] = 255
        >>> labels = np.array([0] * 4 + [1] * 4)
        >>> probe = sk.SGDLinearProbe(encoder, 8, epochs=20).fit(images, labels)
        >>> probe.accuracy(sk.extract_features(encoder, images)[0], labels)
        1.0

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Appendix B.6 (linear evaluation);
        https://github.com/google-research/simclr, README.md.
    """

    def __init__(
        self,
        encoder: keras.Model,
        image_size: int,
        epochs: int = 90,
        batch_size: int = 256,
        learning_rate: float = 0.1,
        crop_area: tuple[float, float] = (0.08, 1.0),
        flip: bool = True,
        seed: int = 0,
    ):
        for name, value in (("epochs", epochs), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {name}={value}")
        if learning_rate <= 0:
            raise ValueError(
                f"`learning_rate` must be positive. Received: learning_rate={learning_rate}"
            )
        self.encoder = encoder
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.seed = check_seed(seed)
        self._augmenter = single_view_augmenter(image_size, flip, crop_area)

    def fit(
        self,
        images: np.ndarray | tf.data.Dataset | ImageSource,
        labels: np.ndarray | None = None,
    ) -> "SGDLinearProbe":
        """Trains the classifier.

        Args:
            images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1; batches of (images,
                labels), read into memory; or a source with labels, read as needed.
            labels: Integers `(N,)`, 0 or more; only with an array.

        Returns:
            The probe itself.

        Raises:
            InputError: If labels are given twice, or there are no images.
            ValueError: If a label is missing or there is only one class.
            RunFailure: If the loss is not finite.
        """
        source = as_source(images, labels)
        check_labels(source.labels)
        self.classes_ = np.unique(source.labels)
        batch_size = min(self.batch_size, len(source))
        steps_per_epoch = len(source) // batch_size
        steps = self.epochs * steps_per_epoch
        rate = scale_learning_rate(self.learning_rate, batch_size, "linear")
        # The problem is convex, so the initial weights do not matter.
        features = keras.Input((self.encoder.output_shape[-1],))
        logits = keras.layers.Dense(
            len(self.classes_), kernel_initializer="zeros", dtype="float32"
        )(features)
        classifier = keras.Model(features, logits)
        model = ClassifierTraining(
            classifier,
            self._augmenter,
            lambda view, logits, labels: tf.nn.sparse_softmax_cross_entropy_with_logits(
                labels, logits
            ),
            inputs_of=lambda view: tf.cast(self.encoder(view, training=False), tf.float32),
            seed=self.seed,
        )
        schedule = WarmupCosine(rate, steps)
        model.compile_with("sgd", schedule)
        names = [str(label) for label in self.classes_]
        columns = source.with_labels(np.searchsorted(self.classes_, source.labels), names)
        advice = (
            f"Its learning rate of {self.learning_rate:g} * B / 256 is too high for these features. "
            "Use the L-BFGS protocol or a smaller batch."
        )
        bad_images = BadImages(len(columns))
        images = TrainingImages(
            columns,
            lambda source, *steps, **rows: single_view_batches(
                source, self._augmenter, batch_size, self.seed, *steps, **rows
            ),
            batch_size,
            self.seed,
            bad_images,
        )
        fit_in_intervals(
            model,
            source,
            images.batches,
            batch_size,
            Length(steps),
            steps_per_epoch * max(1, self.epochs // _REPORTS),
            [
                StopOnNonFiniteLoss(advice, "The loss of linear evaluation by SGD", schedule),
            ],
            "Linear evaluation by SGD",
            recover=images.recover,
        )
        bad_images.conclude()
        self._weights, self._bias = classifier.get_weights()
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Logits `(N, C)` of features `(N, D)`, a column for each of `classes_`."""
        return np.asarray(features, np.float32) @ self._weights + self._bias

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Labels `(N,)` of features `(N, D)`."""
        return self.classes_[self.scores(features).argmax(axis=1)]

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """Share of features `(N, D)` whose label `(N,)` is predicted."""
        return float((self.predict(features) == np.asarray(labels)).mean())
