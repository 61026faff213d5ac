"""`ProjectionHead`: the g(.) between the encoder and the loss."""

import keras
import tensorflow as tf

from ..keras_versions import layer_like
from .batch_normalization import BatchNormalization
from .normalization import groups


@keras.saving.register_keras_serializable(package="simclr_keras")
class ProjectionHead(keras.layers.Layer):
    """Maps features h to the projections z = g(h) that the loss compares.

    With two layers, g(h) = W2 relu(W1 h) (Section 2.1 of the paper). As in the original
    release, each product is followed by batch normalisation: with offset and ReLU on the
    hidden layers, without offset on the last. The head is discarded after pretraining. With a
    nonlinear head the features are 3 points better than with a linear one, and more than 10
    points better than without a head (Section 4.2).

    SimCLR v2 fine-tunes from a middle layer of its deeper head (Section 3 of its paper):
    `layers` sets after how many layers to stop.

    Args:
        output_dim: K, the dimension of the projections.
        num_layers: 2 in SimCLR, 3 in SimCLR v2, 1 for a linear head, 0 for none (z = h).
        hidden_dim: Width of the hidden layers. Defaults to the width of the features.
        normalization: `"batch"`, `"group"` or `"none"` (biases instead). The last two treat
            each image independently, so micro-batches are exact. Defaults to `"batch"`.

    Call arguments:
        features: `(N, D)`.
        training: Whether batch normalisation uses and updates batch statistics.
        layers: How many of the layers to apply: 0 returns the features, 1 the output of the
            first layer (`ft_proj_selector` of the original release). Defaults to all.

    Returns:
        `(N, output_dim)`, or `(N, D)` when `num_layers` is 0; with `layers`, the output of that
        layer. Not L2-normalised.

    Raises:
        ValueError: If a size is not positive, `num_layers` is negative, `layers` exceeds
            the number of layers, or a layer with group norm has fewer than 3 units.

    Example:
        >>> import numpy as np
        >>> import simclr_keras as sk
        >>> head = sk.ProjectionHead(output_dim=16)
        >>> tuple(head(np.ones((4, 64), "float32")).shape)
        (4, 16)
        >>> tuple(head(np.ones((4, 64), "float32"), layers=1).shape)
        (4, 64)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709, Sections 2.1 and 4.2;
        Chen et al. 2020, "Big Self-Supervised Models are Strong Semi-Supervised Learners",
        https://arxiv.org/abs/2006.10029, Sections 2 and 3.
    """

    def __init__(
        self,
        output_dim: int = 128,
        num_layers: int = 2,
        hidden_dim: int | None = None,
        normalization: str = "batch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if output_dim < 1:
            raise ValueError(
                f"`output_dim` must be positive. Received: output_dim={output_dim}"
            )
        if num_layers < 0:
            raise ValueError(
                "`num_layers` must be 0 (no head), 1 (linear) or more. "
                f"Received: num_layers={num_layers}"
            )
        if hidden_dim is not None and hidden_dim < 1:
            raise ValueError(
                f"`hidden_dim` must be positive. Received: hidden_dim={hidden_dim}"
            )
        if normalization not in ("batch", "group", "none"):
            raise ValueError(
                "`normalization` must be 'batch', 'group' or 'none'. "
                f"Received: normalization={normalization!r}"
            )
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.normalization = normalization
        self.dense_layers: list[keras.layers.Layer] = []
        self.norm_layers: list[keras.layers.Layer] = []

    def build(self, input_shape: tuple) -> None:
        width = input_shape[-1]
        for index in range(self.num_layers):
            is_last = index == self.num_layers - 1
            units = self.output_dim if is_last else self.hidden_dim or input_shape[-1]
            # Glorot; the release uses N(0, 0.01). docs/encoders.md has the measurement.
            dense = keras.layers.Dense(
                units,
                use_bias=self.normalization == "none",
                dtype=self.dtype_policy,
                name=f"dense_{index}",
            )
            norm = self._norm(units, is_last, f"norm_{index}")
            dense.build((None, width))
            norm.build((None, units))
            self.dense_layers.append(dense)
            self.norm_layers.append(norm)
            width = units
        self.built = True

    def _norm(self, units, is_last, name):
        if self.normalization == "none":
            return keras.layers.Activation("linear", dtype=self.dtype_policy, name=name)
        common = dict(epsilon=1e-5, center=not is_last, dtype=self.dtype_policy, name=name)
        if self.normalization == "group":
            if units < 3:
                raise ValueError(
                    "Group norm needs layers of at least 3 units: it normalises one unit to 0 "
                    "and two units to 1 and -1, whatever their values. Received: "
                    f"{units} units in {name}"
                )
            return keras.layers.GroupNormalization(groups(units), **common)
        return BatchNormalization(momentum=0.9, synchronized=True, **common)

    def call(
        self, features: tf.Tensor, training: bool = False, layers: int | None = None
    ) -> tf.Tensor:
        return self.layer_outputs(features, training, layers)[-1]

    def layer_outputs(
        self, features: tf.Tensor, training: bool = False, layers: int | None = None
    ) -> list[tf.Tensor]:
        """The features and the output of each layer, up to the projections.

        Args:
            features: `(N, D)`.
            training: As in `call`.
            layers: As in `call`: after how many layers to stop.

        Returns:
            The features, `(N, hidden_dim)` for each hidden layer, and `(N, output_dim)`.
        """
        layers = self.num_layers if layers is None else layers
        if not 0 <= layers <= self.num_layers:
            raise ValueError(
                f"`layers` must be between 0 and num_layers={self.num_layers}. Received: "
                f"layers={layers}"
            )
        outputs = [features]
        # Later layers are not run: in training they would update statistics that nobody uses.
        for index, (dense, norm) in enumerate(
            zip(self.dense_layers[:layers], self.norm_layers)
        ):
            # Only batch norm behaves differently while training.
            mode = {"training": training} if self.normalization == "batch" else {}
            hidden = norm(dense(outputs[-1]), **mode)
            outputs.append(tf.nn.relu(hidden) if index < self.num_layers - 1 else hidden)
        return outputs

    def compute_output_shape(self, input_shape: tuple, layers: int | None = None) -> tuple:
        layers = self.num_layers if layers is None else layers
        if layers == 0:
            return tuple(input_shape)
        is_last = layers == self.num_layers
        width = self.output_dim if is_last else self.hidden_dim or input_shape[-1]
        return (*input_shape[:-1], width)

    def compute_output_spec(
        self, features: "keras.KerasTensor", training: bool = False, layers: int | None = None
    ) -> "keras.KerasTensor":
        """Of Keras 3, whose own would not know `layers`."""
        shape = self.compute_output_shape(features.shape, layers)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def apply_copies(self, features: tf.Tensor, layers: int | None = None) -> tf.Tensor:
        """Applies new layers with the weights of the first `layers` to a functional tensor.

        Args:
            features: `(N, D)`, the tensor of a functional model.
            layers: As in `call`: how many of the layers. Defaults to all.

        Returns:
            The output of the last of them.
        """
        for index in range(self.num_layers if layers is None else layers):
            for layer in (self.dense_layers[index], self.norm_layers[index]):
                copy = layer_like(layer)
                features = copy(features)
                copy.set_weights(layer.get_weights())
            if index < self.num_layers - 1:
                features = keras.layers.ReLU(name=f"relu_{index}")(features)
        return features

    def as_model(self, feature_dim: int) -> keras.Model:
        """A functional model of Keras' own layers that computes the same, with copied weights.

        Args:
            feature_dim: D.

        Returns:
            Model from features `(N, D)` to projections.
        """
        if not self.built:
            self.build((None, feature_dim))
        features = keras.Input((feature_dim,), name="features")
        return keras.Model(features, self.apply_copies(features), name=self.name)

    @classmethod
    def from_model(cls, model: keras.Model) -> "ProjectionHead":
        """The head that `as_model` made a model of, with the weights of the model."""
        if isinstance(model.layers[-1], cls):  # a file of an earlier version
            return model.layers[-1]
        layers = [layer for layer in model.layers if layer.name.startswith(("dense_", "norm_"))]
        dense, norms = layers[::2], layers[1::2]
        normalization = "batch"
        if norms and isinstance(norms[0], keras.layers.GroupNormalization):
            normalization = "group"
        elif norms and not norms[0].weights:
            normalization = "none"
        head = cls(
            model.output_shape[-1],
            len(dense),
            dense[0].units if len(dense) > 1 else None,
            normalization,
            name=model.name,
        )
        head.build(model.input_shape)
        for new, old in zip(head.dense_layers + head.norm_layers, dense + norms):
            new.set_weights(old.get_weights())
        return head

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            output_dim=self.output_dim,
            num_layers=self.num_layers,
            hidden_dim=self.hidden_dim,
            normalization=self.normalization,
        )
        return config
