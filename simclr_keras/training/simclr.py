"""`SimCLR`: a Keras model whose training step is the paper's Algorithm 1."""

import typing
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from ..data.images import UNIT_RANGE, in_one_sentence, to_unit_range
from ..keras_versions import (
    apply_gradients,
    build_optimizer,
    export_signature,
    optimizer_state,
    random_states,
    tensorflow_variables,
    unrepeatable_layers,
)
from ..networks.projection_head import ProjectionHead
from ..objective import replicas
from .batches import checked_batches, images_and_labels
from .micro_batches import micro_batch_gradients
from .parts import augmenter_of, channels_of, encoder_of, features_shape, loss_of
from .step import check_two_views, contrast_batch, number_of_views, whole_batch_gradients
from .step_model import StepModel

# Validation has a step of its own, so that its views are the same at every evaluation. They
# differ between batches by the position in the validation set.
_VALIDATION_STEP = -1
_NO_METRICS = (
    "It logs its loss and the accuracy of the contrast, and with `SimCLR(probe=...)` the loss and "
    "accuracy of a linear classifier."
)
_NOT_COMPILED = {
    "loss": "Give the contrastive loss to the model: `SimCLR(loss=...)`.",
    "loss_weights": "There is one loss.",
    "metrics": _NO_METRICS,
    "weighted_metrics": _NO_METRICS,
}


@keras.saving.register_keras_serializable(package="simclr_keras")
class SimCLR(StepModel):
    """Pretrains an encoder without labels by contrasting two or more views of every image.

    Each step draws two views of every image (or as many as the augmenter makes), sends all 2N
    views through the encoder f(.) and the projection head g(.) in one forward pass, and lowers
    the contrastive loss. Under a
    `tf.distribute` strategy the negatives, the batch-norm statistics and the logged numbers
    span all replicas: several replicas train as one does with the same global batch.

    Called on images, the model returns features h = f(x); so does `predict`.

    Args:
        encoder: `keras.Model` from images in [0, 1] to features `(N, D)`, which is trained as it
            is; or a name for `build_encoder`, which says what it changes.
        projection_head: Layer from features to projections `(N, K)`. Defaults to
            `ProjectionHead()`.
        augmenter: Layer from images to their views, with `call(images, seed, first_position)`; or
            augmentation layers or a function, which are called twice (see `TwoViews`). Defaults to
            `SimCLRAugmenter(image_size)`, for views of up to 32 pixels with what the paper uses on
            CIFAR-10 (Appendix B.9): colour jitter of strength 0.5 and no blur.
        temperature: tau of NT-Xent. Defaults to 0.1.
        loss: `"nt-xent"`, `"decoupled"`, or any callable `(projections_1, projections_2) -> (N,)`,
            called with the projections of all replicas. Defaults to NT-Xent. Each replica computes
            NT-Xent, and any `NTXentLoss`, for its own rows only.
        probe: Layer from features to C logits, trained alongside the encoder on the labels of
            the batch to monitor progress. Its gradient does not reach the encoder. Images with
            label -1 (no label) are ignored.
        micro_batch_size: Images over all replicas whose activations are held at once, for
            batches that do not fit in memory. The loss and its gradient are still those of the
            whole batch, for about a third more work; only batch norm sees one micro-batch at a
            time. The batch must be a multiple of it. Defaults to the whole batch.
        image_size: Height and width of the views in pixels, for an encoder by name and an
            augmenter that is not given. Defaults to the encoder's input size, and to 224 for an
            encoder by name.
        value_range: Range of floating-point images, in training and when the model is called;
            (0, 255) for those of `image_dataset_from_directory`. Encoder and views have (0, 1)
            whatever it is. Defaults to the augmenter's.
        seed: The run's seed. It determines every view, together with the step and the position
            in the batch (in validation, the position in the validation set).

    Call arguments:
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in `value_range`.

    Returns:
        Features, float32 `(N, D)`.

    Raises:
        ValueError: If the encoder does not return `(N, D)`, the size of the views is not known, or
            the augmenter expects other images; with `micro_batch_size`, if a layer cannot repeat
            the random draws of a forward pass (for some layers, found only at the first step); at
            `compile`, if XLA is requested with several replicas, which TensorFlow cannot do.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> model = sk.SimCLR(
        ...     sk.build_encoder(
        ...         "simclr_resnet18", 16, width_multiplier=0.125, small_image_stem=True
        ...     ),
        ...     sk.ProjectionHead(output_dim=16),
        ...     sk.SimCLRAugmenter(image_size=16, blur=False),
        ... )
        >>> model.compile(optimizer=sk.LARS(0.1))
        >>> images = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), "uint8")
        >>> history = model.fit(images, batch_size=4, epochs=1, verbose=0)
        >>> model.predict(images, verbose=0).shape
        (8, 64)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Algorithm 1.
    """

    def __init__(
        self,
        encoder: keras.Model | str,
        projection_head: keras.layers.Layer | None = None,
        augmenter: keras.layers.Layer | Callable | None = None,
        temperature: float = 0.1,
        loss: Callable | str | None = None,
        probe: keras.layers.Layer | None = None,
        micro_batch_size: int | None = None,
        seed: int = 0,
        image_size: int | None = None,
        value_range: tuple[float, float] | None = None,
        **kwargs,
    ):
        names = ["loss", "contrastive_accuracy"]
        names += ["probe_loss", "probe_accuracy"] if probe is not None else []
        super().__init__(names, seed, **kwargs)
        self.encoder, self.image_size = encoder_of(encoder, image_size)
        self.augmenter: keras.layers.Layer = augmenter_of(
            augmenter, self.image_size, value_range
        )
        of_views = getattr(self.augmenter, "value_range", UNIT_RANGE)
        if value_range is not None and of_views not in (UNIT_RANGE, tuple(value_range)):
            raise ValueError(
                "The model and its augmenter have different value ranges. Give it once. Received: "
                f"value_range={value_range}, augmenter.value_range={of_views}"
            )
        self.value_range = tuple(value_range or of_views)
        self.image_size = self.image_size or getattr(self.augmenter, "image_size", None)
        self.projection_head = ProjectionHead() if projection_head is None else projection_head
        self.temperature = temperature
        self.contrastive_loss = loss_of(loss, temperature)
        check_two_views(self.contrastive_loss, number_of_views(self))
        self.probe = probe
        self._shape_in_fit = tf.TensorShape(None)
        output_shape = features_shape(self.encoder, self.image_size)
        for layer in (self.projection_head, probe):
            if layer is not None and not layer.built:
                layer.build(output_shape)
        if not self.augmenter.built:  # images of any size
            self.augmenter.build((None, None, None, channels_of(self.encoder)))
        if micro_batch_size is not None:
            _check_micro_batches(
                micro_batch_size, self.augmenter, self.encoder, self.projection_head, probe
            )
        self.micro_batch_size = micro_batch_size

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer | None = None,
        *,
        jit_compile: bool = False,
        **kwargs,
    ) -> None:
        """Configures training; takes what `keras.Model.compile` takes, but no loss or metrics.

        Args:
            optimizer: Keras optimizer; `LARS` with `WarmupCosine` in the paper.
            jit_compile: Compile the step with XLA. Off by default: on CPUs it is slower.
            **kwargs: Of `keras.Model.compile`.

        Raises:
            ValueError: If there is no optimizer, XLA is requested with several replicas, or a loss
                or metrics are given, which this model would not use.
        """
        if optimizer is None:
            raise ValueError(
                "`compile` needs an optimizer, and the paper's needs the number of steps: "
                "`sk.LARS(sk.WarmupCosine(0.075 * batch_size**0.5, total_steps, warmup_steps), "
                "weight_decay=1e-6)`. Received: optimizer=None"
            )
        for name, instead in _NOT_COMPILED.items():
            if kwargs.get(name):
                raise ValueError(
                    f"`compile({name}=...)` has no effect on SimCLR. {instead} Received: "
                    f"{name}={kwargs[name]!r}"
                )
        count = tf.distribute.get_strategy().num_replicas_in_sync
        count = max(count, self.distribute_strategy.num_replicas_in_sync)
        if jit_compile and count > 1:
            raise ValueError(
                "`jit_compile=True` does not work with several replicas: TensorFlow cannot "
                "compile a step whose variables live on several devices. Leave it out. "
                f"Received: jit_compile=True with {count} replicas"
            )
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        build_optimizer(self.optimizer, self.trainable_variables)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        features = self.encoder(to_unit_range(images, self.value_range), training=training)
        return tf.cast(features, tf.float32)

    def fit(
        self, x: typing.Any = None, y: typing.Any = None, **options
    ) -> keras.callbacks.History:
        """Trains as `keras.Model.fit` does.

        Args:
            x: Images `(N, H, W, C)`, uint8 in 0-255 or floating in `value_range`; or a dataset,
                generator or `PyDataset` of batches: images, (images, labels) or TFDS dictionaries
                with `image` and `label`.
            y: Labels `(N,)` for a probe, if `x` is an array.
            **options: Of `keras.Model.fit`.

        Returns:
            Keras' `History`.

        Raises:
            ValueError: If `x` does not hold batches of images in this range, or there are weights
                of samples or classes.
        """
        weights = options.get("sample_weight"), options.get("class_weight")
        x, self._shape_in_fit = checked_batches(x, self.value_range, *weights)
        with in_one_sentence():
            return super().fit(x, y, **options)

    def evaluate(self, x: typing.Any = None, y: typing.Any = None, **options) -> typing.Any:
        """Measures loss and accuracy on the views of other images, as `keras.Model.evaluate` does.

        The views are the same at every evaluation. Takes what `fit` takes.
        """
        with in_one_sentence():
            return super().evaluate(x, y, **options)

    def predict(self, x: typing.Any, **options) -> np.ndarray:
        """Features of images, `(N, D)`, as `keras.Model.predict` does."""
        with in_one_sentence():
            return super().predict(x, **options)

    def export(self, filepath: str, *arguments, **options) -> None:
        """Writes a SavedModel from images to features, as `keras.Model.export` does.

        See `export_encoder` for one that also decodes files.

        Args:
            filepath: Folder to write.
            *arguments: Of `keras.Model.export`.
            **options: Of `keras.Model.export`.
        """
        size = self.image_size
        if size is None:
            raise ValueError("`export` needs the size of the images: `SimCLR(image_size=...)`.")
        # Keras exports for images as in the first call, and `fit` makes none.
        shape = (1, size, size, channels_of(self.encoder))
        self(tf.zeros(shape))
        super().export(filepath, *arguments, **{**export_signature(shape), **options})

    def train_step(self, data) -> dict:
        images, labels = self._images_and_labels(data)
        of_batch = self.micro_batch_size is None
        gradients_of = whole_batch_gradients if of_batch else micro_batch_gradients
        gradients, logs = gradients_of(self, images, labels)
        with self.after_reading(data):
            norm = apply_gradients(self.optimizer, gradients, self.trainable_variables)
            self.gradient_norms.note(self.step, norm)
            self.step.assign_add(1)
            return self.log(logs)

    def test_step(self, data) -> dict:
        images, labels = self._images_and_labels(data)
        seen = self._images_seen()
        _, logs = contrast_batch(
            self, images, labels, _VALIDATION_STEP, training=False, seen=seen
        )
        return self.log(logs)

    def _images_and_labels(self, data) -> tuple:
        images, labels = images_and_labels(data)
        if None in tuple(images.shape[1:]):  # from a generator, on Keras 2.15
            images = tf.ensure_shape(images, self._shape_in_fit)
        return images, labels

    def checkpointed(self) -> dict:
        networks = [self.encoder, self.projection_head, self.probe]
        return {
            "step": self.step,
            "networks": [tensorflow_variables(n.variables) for n in networks if n is not None],
            "optimizer": optimizer_state(self.optimizer),
        }

    def _images_seen(self) -> tf.Tensor:
        """int64 scalar: images seen by all replicas since Keras last reset the metrics."""
        count = tf.convert_to_tensor(self._means[0].count)  # this replica's
        return tf.cast(count, tf.int64) * replicas.number_of_replicas()

    def get_config(self) -> dict:
        config = super().get_config()
        serialize = keras.saving.serialize_keras_object
        config.update(
            encoder=serialize(self.encoder),
            projection_head=serialize(self.projection_head),
            augmenter=serialize(self.augmenter),
            temperature=self.temperature,
            loss=None if self.contrastive_loss is None else serialize(self.contrastive_loss),
            probe=None if self.probe is None else serialize(self.probe),
            micro_batch_size=self.micro_batch_size,
            seed=self.seed,
            image_size=self.image_size,
            value_range=self.value_range,
        )
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in ("encoder", "projection_head", "augmenter", "loss", "probe"):
            if isinstance(config[name], dict):
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)


def _check_micro_batches(size, *networks) -> None:
    if size < 1:
        raise ValueError(
            f"`micro_batch_size` must be positive. Received: micro_batch_size={size}"
        )
    used = [network for network in networks if network is not None]
    for network in used:
        random_states(network)  # generators are created here, not inside a step
    random = [x.name for network in used for x in unrepeatable_layers(network)]
    if random:
        raise ValueError(
            "`micro_batch_size` needs two identical forward passes, but on Keras 2.15 these random "
            f"layers cannot repeat their draws. Use Keras 3, or leave them out. Received: {random}"
        )
