"""What Keras expects of every layer, loss, optimizer and schedule, after KerasHub's `run_layer_test`.

Each check takes a `Case`: a class, arguments none of which has its default, and what is known of
the result. `test_layer_contract.py` has a case for every public class.
"""

import dataclasses
import inspect
import json
import typing

import keras
import numpy as np
import tensorflow as tf

from simclr_keras.keras_versions import tensorflow_variables


@dataclasses.dataclass(frozen=True)
class Case:
    """A layer, and what is known about it.

    Attributes:
        of: The class.
        arguments: Its constructor's; all of them, unless the constructor is Keras' own.
        inputs: Shape of a batch.
        outputs: Shapes of the outputs.
        trainable: The number of trainable weights.
        others: The number of other weights.
        options: Keyword arguments of a call.
        in_float32: Whether it computes in float32 under any policy.
    """

    of: type
    arguments: dict[str, typing.Any]
    inputs: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]
    trainable: int = 0
    others: int = 0
    options: dict[str, typing.Any] = dataclasses.field(default_factory=dict)
    in_float32: bool = False

    def make(self):
        return self.of(**self.arguments)

    def batch(self) -> np.ndarray:
        return np.random.default_rng(0).random(self.inputs, "float32")

    def model(self) -> keras.Model:
        """A functional model of the layer alone."""
        images = keras.Input(self.inputs[1:])
        return keras.Model(images, self.make()(images, **self.options))


def revived(made):
    """What a file would bring back: the object made again from its serialised form as JSON."""
    text = json.dumps(keras.saving.serialize_keras_object(made))
    return keras.saving.deserialize_keras_object(json.loads(text))


def arrays(outputs) -> list[np.ndarray]:
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return [np.asarray(tf.cast(output, tf.float32)) for output in outputs]


def assert_equal(outputs, expected, tolerance: float = 1e-5) -> None:
    outputs, expected = arrays(outputs), arrays(expected)
    assert len(outputs) == len(expected)
    for one, other in zip(outputs, expected):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def check_arguments(of: type, arguments: dict) -> None:
    """Every argument survives: compared with the original one, not config with config."""
    if "__init__" in vars(of):
        for name, parameter in inspect.signature(of).parameters.items():
            if parameter.kind is not parameter.VAR_KEYWORD:
                assert name in arguments, f"the case needs the argument {name}"
                assert arguments[name] != parameter.default, f"{name} has its default"
    config = revived(of(**arguments)).get_config()
    for name, value in arguments.items():
        kept = config[name]
        if isinstance(value, (list, tuple)) and isinstance(kept, (list, tuple)):
            value, kept = list(value), list(kept)
        assert kept == value or kept == keras.saving.serialize_keras_object(value), name


def check_outputs_of_revived(case: Case) -> None:
    layer, batch = case.make(), case.batch()
    expected = layer(batch, **case.options)
    again = revived(layer)
    again(batch, **case.options)  # builds it
    again.set_weights(layer.get_weights())
    assert_equal(again(batch, **case.options), expected)


def check_shapes_and_dtypes(case: Case, policy: str) -> None:
    keras.mixed_precision.set_global_policy(policy)
    layer = case.make()
    expected = "float32" if case.in_float32 else layer.compute_dtype
    assert layer.compute_dtype == ("float32" if case.in_float32 else policy.split("_")[-1])
    outputs = layer(case.batch(), **case.options)
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    assert tuple(tuple(output.shape) for output in outputs) == case.outputs
    assert {tf.as_dtype(output.dtype).name for output in outputs} == {expected}
    assert all(np.isfinite(output).all() for output in arrays(outputs))
    assert {tf.as_dtype(weight.dtype).name for weight in layer.weights} <= {"float32"}


def check_weights(case: Case) -> None:
    layer = case.make()
    layer(case.batch(), **case.options)
    assert len(layer.trainable_weights) == case.trainable
    assert len(layer.non_trainable_weights) == case.others


def check_eager_and_traced(case: Case, training: bool) -> None:
    layer, batch = case.make(), tf.constant(case.batch())
    options = {**case.options, "training": training}
    layer(batch, **case.options)
    weights = layer.get_weights()
    eager = layer(batch, **options)
    moved = layer.get_weights()
    layer.set_weights(weights)
    traced = tf.function(lambda batch: layer(batch, **options))(batch)
    assert_equal(traced, eager)
    assert_equal(layer.get_weights(), moved)  # such as moving averages


def check_every_weight_learns(case: Case) -> None:
    layer, batch = case.make(), tf.constant(case.batch())
    layer(batch, **case.options)
    with tf.GradientTape() as tape:
        outputs = layer(batch, training=True, **case.options)
        random = tf.random.stateless_normal(outputs.shape, (0, 1))
        loss = tf.reduce_sum(random * tf.cast(outputs, tf.float32) ** 2)
    variables = tensorflow_variables(layer.trainable_weights)
    for variable, gradient in zip(variables, tape.gradient(loss, variables)):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.name


def check_symbolic(case: Case) -> None:
    """Keras knows the shapes without running the layer: `summary` shows them."""
    shape = (None, *case.inputs[1:])
    expected = tuple((None, *output[1:]) for output in case.outputs)
    found = case.make().compute_output_shape(shape)
    found = (found,) if len(expected) == 1 else found
    assert tuple(tuple(one) for one in found) == expected
    outputs = case.model().outputs
    assert tuple(tuple(output.shape) for output in outputs) == expected


def check_saved_in_a_model(case: Case, folder) -> None:
    model, batch = case.model(), case.batch()
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    assert any(isinstance(layer, case.of) for layer in loaded.layers)
    assert_equal(loaded.predict(batch, verbose=0), model(batch))
