"""`SimCLR`: a Keras model whose training step is the paper's Algorithm 1."""

from collections.abc import Callable

import keras
import tensorflow as tf

from ..data.images import to_unit_range
from ..keras_versions import (
    VersionedModel,
    apply_gradients,
    build_optimizer,
    random_states,
    scaled,
    unrepeatable_layers,
)
from ..objective import replicas
from ..objective.contrast import Contrast, contrast
from ..objective.nt_xent import NTXentLoss
from ..seeds import check_seed
from .micro_batches import micro_batch_gradients

# Validation has a step of its own, so that its views are the same at every evaluation; those of
# its batches differ by their places in the validation set.
_VALIDATION_STEP = -1


@keras.saving.register_keras_serializable(package="simclr_keras")
class SimCLR(VersionedModel):
    """Pretrains an encoder without labels: two views, encoder, projection head, contrast.

    Each step draws two views of every image, sends all 2N views through the encoder f(.) and
    the projection head g(.) in one forward pass, and lowers the contrastive loss. Under a
    `tf.distribute` strategy the negatives, the batch-norm statistics and the logged numbers
    span all replicas: N replicas train as one does with the same global batch.

    Called on images, the model returns features h = f(x), in `predict` too.

    Args:
        encoder: `keras.Model` from images in [0, 1] to features `(N, D)`; see
            `build_encoder`.
        projection_head: Layer from features to projections `(N, K)`; see `ProjectionHead`.
        augmenter: Layer from images to two views; see `SimCLRAugmenter`.
        temperature: tau of NT-Xent. Defaults to 0.1.
        loss: Any callable `(projections_1, projections_2) -> (N,)`, called with the
            projections of all replicas. Defaults to NT-Xent, which each replica computes for
            its own rows only, as it does an `NTXentLoss`.
        probe: Layer from features to C logits, trained beside the encoder on the labels of
            the batch to watch progress. No gradient of it reaches the encoder; a label of -1
            means none and is left out.
        micro_batch_size: Images over all replicas to hold activations of at a time, for
            batches that memory cannot hold. The loss and its gradient are still those of the
            whole batch, for about a third more work; only batch norm sees a micro-batch at a
            time. The batch must be a multiple. Defaults to the whole batch.
        seed: The run's seed; with the step and the place in the batch it decides every view, in
            validation with the place in the validation set.

    Call arguments:
        images: `(N, H, W, C)`, uint8 in 0-255 or floating in 0-1.

    Returns:
        Features, float32 `(N, D)`.

    Raises:
        ValueError: If the encoder does not return `(N, D)` or a layer cannot repeat the draws
            of a forward pass that `micro_batch_size` repeats (some are known at the first step
            only), or at `compile` if XLA is asked for under several replicas, which TensorFlow
            cannot do.

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
        encoder: keras.Model,
        projection_head: keras.layers.Layer,
        augmenter: keras.layers.Layer,
        temperature: float = 0.1,
        loss: Callable | None = None,
        probe: keras.layers.Layer | None = None,
        micro_batch_size: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        output_shape = tuple(encoder.output_shape)
        if len(output_shape) != 2 or output_shape[1] is None:
            raise ValueError(
                "`encoder` must return features of shape (N, D); end it with a pooling layer. "
                f"Received: encoder.output_shape={output_shape}"
            )
        self.encoder = encoder
        self.projection_head = projection_head
        self.augmenter = augmenter
        self.temperature = temperature
        self.contrastive_loss = loss
        self.probe = probe
        if micro_batch_size is not None:
            _check_micro_batches(micro_batch_size, augmenter, encoder, projection_head, probe)
        self.micro_batch_size = micro_batch_size
        self.seed = check_seed(seed)
        for layer in (projection_head, probe):
            if layer is not None and not layer.built:
                layer.build(output_shape)
        # Batches seen; float16 may skip an optimizer step, but never a batch.
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="step",
        )
        names = ["loss", "contrastive_accuracy"]
        names += ["probe_loss", "probe_accuracy"] if probe is not None else []
        # float32 whatever `keras.config.floatx()` is: the counts of images must be exact.
        self._means = [keras.metrics.Mean(name=name, dtype="float32") for name in names]
        self.built = True

    def compile(self, optimizer="rmsprop", *, jit_compile: bool = False, **kwargs):
        """Configures training; takes what `keras.Model.compile` takes, and no loss.

        Args:
            optimizer: Keras optimizer; `LARS` with `WarmupCosine` in the paper.
            jit_compile: Compile the step with XLA. Off by default: on CPUs it is slower.
            **kwargs: Of `keras.Model.compile`.
        """
        count = tf.distribute.get_strategy().num_replicas_in_sync
        count = max(count, self.distribute_strategy.num_replicas_in_sync)
        if jit_compile and count > 1:
            raise ValueError(
                "`jit_compile=True` does not work with several replicas: TensorFlow cannot "
                "compile a step whose variables live on several devices. Received: "
                f"jit_compile=True with {count} replicas; leave it out."
            )
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        build_optimizer(self.optimizer, self.trainable_variables)

    @property
    def steps_made(self) -> int:
        """Batches seen so far; `int(model.step)` does not work under several replicas."""
        return int(self.step.read_value())

    @property
    def metrics(self):
        return self._means

    def call(self, images, training=False):
        features = self.encoder(to_unit_range(images), training=training)
        return tf.cast(features, tf.float32)

    def train_step(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self.micro_batch_size is None:
            gradients, logs = self._whole_batch_gradients(images, labels)
        else:
            gradients, logs = micro_batch_gradients(self, (images, labels))
        apply_gradients(self.optimizer, gradients, self.trainable_variables)
        self.step.assign_add(1)
        return self._log(logs)

    def test_step(self, data):
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        seen = self._images_seen()
        _, logs = self._contrast(images, labels, _VALIDATION_STEP, training=False, seen=seen)
        return self._log(logs)

    def _images_seen(self) -> tf.Tensor:
        """int64 scalar: images of all replicas since Keras reset the metrics."""
        count = tf.convert_to_tensor(self._means[0].count)  # this replica's
        return tf.cast(count, tf.int64) * replicas.number_of_replicas()

    def _whole_batch_gradients(self, images, labels):
        with tf.GradientTape() as tape:
            to_minimise, logs = self._contrast(images, labels, self.step, training=True)
            to_minimise = scaled(self.optimizer, to_minimise)
        return tape.gradient(to_minimise, self.trainable_variables), logs

    def _contrast(self, images, labels, step, training: bool, seen=0):
        """One forward pass: this replica's share of what to minimise, and the global logs."""
        count = replicas.check_even(tf.shape(images)[0])  # n: images on this replica
        first_position = seen + tf.cast(replicas.replica_id() * count, tf.int64)
        features, projections = self.forward(images, first_position, step, training)
        total = tf.cast(count * replicas.number_of_replicas(), tf.float32)  # N
        pairs = self.contrast_pairs(projections[:count], projections[count:])
        regularisation = self.regularisation()
        # Gradients are summed over replicas, so a regulariser counts once in all.
        to_minimise = tf.reduce_sum(pairs.losses) / total
        to_minimise += regularisation / replicas.number_of_replicas()
        labelled, probe_loss, probe_hits = self.labelled(labels), 0.0, 0.0
        if self.probe is not None:
            probe_loss, probe_hits = self.probe_share(features, labels, labelled, training)
            to_minimise += probe_loss
        return to_minimise, self.global_logs(
            pairs, total, regularisation, probe_loss, probe_hits, labelled
        )

    # === Parts of a step, for whole batches and for micro-batches ===

    def forward(self, images, first_position, step, training: bool):
        """Features `(2n, D)` and projections `(2n, K)` of both views, in one forward pass."""
        views = self.augmenter(images, seed=(self.seed, step), first_position=first_position)
        features = self.encoder(tf.concat(views, axis=0), training=training)
        return features, self.projection_head(features, training=training)

    def regularisation(self) -> tf.Tensor:
        """The sum of the penalties of the last forward pass."""
        return tf.add_n([0.0, *(tf.cast(x, tf.float32) for x in self.losses)])

    def contrast_pairs(self, projections_1, projections_2) -> Contrast:
        """Losses and accuracy of this replica's pairs; the candidates are those of all."""
        loss = self.contrastive_loss or NTXentLoss(self.temperature)
        streams = isinstance(loss, NTXentLoss)
        pairs = contrast(
            projections_1,
            projections_2,
            loss.temperature if streams else self.temperature,
            decoupled=streams and loss.decoupled,
            across_replicas=True,
        )
        if streams:
            return pairs
        # A Keras loss is called for its values, not for their mean.
        values = loss.call if isinstance(loss, keras.losses.Loss) else loss
        losses = values(
            *(replicas.gather(tf.cast(z, tf.float32)) for z in (projections_1, projections_2))
        )
        if losses.shape.rank != 1:
            raise ValueError(
                "`loss` must return one value per pair, shape (N,). Received: shape "
                f"{losses.shape}"
            )
        return Contrast(replicas.local_rows(losses, tf.shape(projections_1)[0]), pairs.accuracy)

    def labelled(self, labels) -> tf.Tensor:
        """Number of views of the global batch that the probe learns from."""
        if self.probe is None:
            return tf.constant(0.0)
        if labels is None:
            raise ValueError(
                "The model has a probe, so every batch must be (images, labels), with label "
                "-1 where there is none. Received: images only."
            )
        return 2.0 * replicas.global_sum(tf.reduce_sum(tf.cast(labels >= 0, tf.float32)))

    def probe_share(self, features, labels, labelled, training: bool):
        """This part's share of the probe's loss, and its hits, over both views."""
        features = tf.stop_gradient(tf.cast(features, tf.float32))
        logits = tf.cast(self.probe(features, training=training), tf.float32)  # (2n, C)
        labels = tf.tile(tf.cast(tf.reshape(labels, [-1]), tf.int32), [2])
        known = tf.cast(labels >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        hits = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        loss = tf.reduce_sum(losses * known) / tf.maximum(labelled, 1.0)
        return loss, tf.reduce_sum(hits * known)

    def global_logs(self, pairs, total, regularisation, probe_loss, probe_hits, labelled):
        """(value, weight) of each logged number, from the sums of this replica."""
        sums = [tf.reduce_sum(pairs.losses), tf.reduce_sum(pairs.accuracy)]
        loss, accuracy = tf.unstack(
            replicas.global_sum(tf.stop_gradient(tf.stack(sums))) / total
        )
        logs = [(loss + regularisation, total), (accuracy, total)]
        if self.probe is not None:
            sums = tf.stop_gradient(tf.stack([probe_loss, probe_hits]))
            probe_loss, hits = tf.unstack(replicas.global_sum(sums))
            logs += [(probe_loss, labelled), (hits / tf.maximum(labelled, 1.0), labelled)]
        return logs

    def _log(self, logs):
        for metric, (value, weight) in zip(self._means, logs):
            # Every replica adds the global value, so each adds its share of the weight.
            share = weight / replicas.number_of_replicas()
            metric.update_state(value, sample_weight=share)
        return self.logs_of_replica({metric.name: metric.result() for metric in self._means})

    def get_config(self):
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
    networks = [network for network in networks if network is not None]
    for network in networks:
        random_states(network)  # generators are made here, not inside a step
    random = [x.name for network in networks for x in unrepeatable_layers(network)]
    if random:
        raise ValueError(
            "`micro_batch_size` needs two equal forward passes, and on Keras 2.15 these random "
            f"layers cannot repeat their draws. Use Keras 3, or leave them out. Received: {random}"
        )
