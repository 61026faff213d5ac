"""The one place that handles the differences between Keras 3 and Keras 2.15.

The rest of the package uses what both have: layers, models, `tf` ops.
"""

import contextlib
import sys

import keras
import tensorflow as tf

from .errors import RunFailure

KERAS_3 = int(keras.__version__.split(".")[0]) >= 3

if KERAS_3 and keras.config.backend() != "tensorflow":
    raise ImportError(
        "simclr_keras needs the TensorFlow backend of Keras, but Keras was started with "
        f"the {keras.config.backend()!r} backend. Unset KERAS_BACKEND, or set it to "
        "'tensorflow', before Python starts."
    )


def check_loadable() -> None:
    """Raises a `RunFailure` if loading a `.keras` file would hang.

    Keras 2.15 finds its layers in a TensorFlow registry that `tf_keras` overwrites when it is
    imported. With the wrong `InputLayer`, Keras searches for the inputs of a model forever.

    Raises:
        RunFailure: If `tf_keras` is imported alongside Keras 2.15.
    """
    if not KERAS_3 and "tf_keras" in sys.modules:
        raise RunFailure(
            "Keras 2.15 cannot load a .keras file in a process that has imported tf_keras. Load "
            "the file before importing tf_keras, or in another process."
        )


def tensorflow_variables(variables) -> list[tf.Variable]:
    """The `tf.Variable`s behind Keras variables (Keras 3 wraps them)."""
    return [v.value if KERAS_3 and isinstance(v, keras.Variable) else v for v in variables]


@contextlib.contextmanager
def replaced_weights(model, tensors):
    """Context in which a model, in inference mode, uses tensors instead of its variables.

    Args:
        model: The model.
        tensors: One for each of `model.variables`, in the same order.
    """
    if KERAS_3:
        with keras.StatelessScope(state_mapping=list(zip(model.variables, tensors))):
            yield
        return
    # Keras 2.15 has no such scope; its layers keep their weights as attributes.
    tensor_of = {id(v): tensor for v, tensor in zip(model.variables, tensors)}
    replaced = [
        (layer, name, value)
        for layer in layers_of(model)
        for name, value in vars(layer).items()
        if id(value) in tensor_of
    ]
    missing = tensor_of.keys() - {id(value) for _, _, value in replaced}
    if missing:
        names = [v.name for v in model.variables if id(v) in missing]
        raise ValueError(
            "Weights that layers keep in lists cannot be replaced on Keras 2.15. "
            f"Received: {', '.join(names)}"
        )
    try:
        for layer, name, value in replaced:
            tensor = tensor_of[id(value)]
            casts_itself = hasattr(value, "true_dtype")  # under mixed precision
            vars(layer)[name] = tf.cast(tensor, layer.compute_dtype) if casts_itself else tensor
        yield
    finally:
        for layer, name, value in replaced:
            vars(layer)[name] = value


def track_variables(layer, trainable, others) -> None:
    """Makes existing `tf.Variable`s the weights of a layer."""
    if not KERAS_3:  # assignment tracks them
        layer.exported_variables = [*trainable, *others]
        return
    for is_trainable, variables in ((True, trainable), (False, others)):
        for variable in variables:
            weight = keras.Variable(
                variable,
                trainable=is_trainable,
                dtype=variable.dtype.name,
                name=variable.name.split(":")[0].replace("/", "_"),
            )
            weight._value = variable  # itself, not a copy: the loaded functions read it
            layer._track_variable(weight)


def optimizer_state(optimizer):
    """What `tf.train.Checkpoint` must track so that the step after a restore is the same."""
    # Keras 2.15's optimizers, legacy ones too, are trackable as a whole, loss scale included.
    # In Keras 3 only the flat list of variables is: Keras 3 finds dependencies by attribute,
    # which loses nested slots.
    return tensorflow_variables(optimizer.variables) if KERAS_3 else optimizer


def optimizer_variables(optimizer) -> list[tf.Variable]:
    """A built optimizer's counter, slots and (unless it is a schedule) learning rate."""
    variables = optimizer.variables  # a method in legacy optimizers (Addons)
    return tensorflow_variables(variables() if callable(variables) else variables)


def build_optimizer(optimizer, variables) -> None:
    """Creates the optimizer's slots now, inside the strategy's scope and outside any graph."""
    if hasattr(optimizer, "build"):
        optimizer.build(variables)
    else:  # legacy optimizers (Addons) have no public way to do it
        optimizer._create_all_weights(variables)
    if KERAS_3:
        _sum_no_gradients(optimizer)


def _sum_no_gradients(optimizer) -> None:
    """Leaves summing the gradients over replicas to `apply_gradients`, for a Keras 3 optimizer.

    By default it sums them last: each replica clips its own gradient, and float16 loss scaling
    checks only the first replica's gradient for infinities. Keras 2.15 sums first.
    """
    while hasattr(optimizer, "inner_optimizer"):  # inside a loss-scale optimizer
        optimizer = optimizer.inner_optimizer
    optimizer._all_reduce_sum_gradients = list


class VersionedOptimizer(keras.optimizers.Optimizer):
    """Base class of our optimizers: a subclass writes one `update` for both Keras versions.

    Its signature is `update(gradient, variable, learning_rate, **slots)`. The slots of a variable
    are those that `slots_of` names; each starts as zeros in its shape.
    """

    def __init__(self, learning_rate, name, **kwargs):
        if KERAS_3:
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        else:
            kwargs.setdefault("jit_compile", False)
            super().__init__(name=name, **kwargs)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, variables):
        if getattr(self, "slots", None) is not None:
            return
        super().build(variables)
        # By position, as text: that is how TensorFlow's checkpoints name the elements of a list.
        slots: dict[str, dict] = {}
        for index, variable in enumerate(variables):
            for name in self.slots_of(variable):
                slot = self.add_variable_from_reference(variable, name)
                slots.setdefault(name, {})[str(index)] = slot
        self.slots = slots  # whole: TensorFlow 2.15 saves no dictionary that was filled later
        if not KERAS_3:
            self._built = True

    def slots_of(self, variable: tf.Variable) -> tuple[str, ...]:
        """The names of a variable's slots."""
        raise NotImplementedError

    def update_step(self, gradient, variable, learning_rate=None):
        if KERAS_3:
            index = self._get_variable_index(variable)
        else:
            index = self._index_dict[self._var_key(variable)]
            learning_rate = self.learning_rate
        slots = {name: self.slots[name][str(index)] for name in self.slots_of(variable)}
        self.update(gradient, variable, tf.cast(learning_rate, variable.dtype), **slots)

    def _apply_weight_decay(self, variables):
        """Does nothing: the base class would apply `weight_decay` a second time."""

    def get_config(self):
        config = super().get_config()
        if not KERAS_3:
            config["learning_rate"] = self._serialize_hyperparameter(self._learning_rate)
        return config


def is_graph(model: keras.Model) -> bool:
    """Whether Keras knows the layers' connections: functional and sequential models."""
    return isinstance(model, keras.Sequential) or bool(getattr(model, "inputs", None))


def split_channels(x) -> list:
    """The two halves of the channels of a functional model's tensor, by Keras' own operation."""
    return list((keras.ops if KERAS_3 else tf).split(x, 2, axis=-1))


def reverse_channels(x):
    """A functional model's tensor with its channels in reverse order."""
    return keras.ops.flip(x, axis=-1) if KERAS_3 else tf.reverse(x, [-1])


def layer_like(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """A new layer with the same settings, except for `changes`, and new weights."""
    config = layer.get_config()
    if isinstance(layer, keras.layers.BatchNormalization):
        config["synchronized"] = layer.synchronized  # Keras 2.15 leaves it out
    known = {name: value for name, value in changes.items() if name in config}
    return layer.__class__.from_config({**config, **known})  # operations have no `dtype`


def clone_with(network: keras.Model, replace) -> keras.Model:
    """A copy of a functional or sequential model, with new weights and some layers replaced.

    Functional models become models of Keras' own class.

    Args:
        network: The model; functional and sequential models inside it are copied the same way.
        replace: Maps a layer to its replacement, or to `None` for one with the same settings.
    """

    def clone(layer):
        if isinstance(layer, keras.Model) and is_graph(layer):
            try:
                return clone_with(layer, replace)
            except TypeError:
                # A layer inside does not take its own config, as in KerasHub's ViT.
                return replace(layer) or layer_like(layer)
        new = replace(layer)
        if new is not None:
            return new
        return layer_like(layer)

    if isinstance(network, keras.Sequential):
        return keras.models.clone_model(network, clone_function=clone)
    if not KERAS_3:
        return plain_model(keras.models.clone_model(network, clone_function=clone))

    def call(layer, *arguments, **options):
        # Keras 3 passes on the options of the replaced layer's call, such as batch norm's mask.
        if isinstance(layer, keras.layers.GroupNormalization):
            options.pop("mask", None)
        return layer(*arguments, **options)

    return plain_model(
        keras.models.clone_model(network, clone_function=clone, call_function=call)
    )


def plain_model(model: keras.Model) -> keras.Model:
    """The layers of a functional model, whatever its class, as a model of Keras' own class."""
    return keras.Model(model.input, model.output, name=model.name)


def copy_with(network: keras.Model, replace) -> keras.Model:
    """`clone_with`, with the weights of the network: the layers must have them in its order."""
    copy = clone_with(network, replace)
    copy.set_weights(network.get_weights())
    return copy


def layers_of_graphs(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that `clone_with` can replace: a model's own and those of graphs inside it."""
    return [
        inner
        for layer in (model.layers if is_graph(model) else ())
        for inner in (layers_of_graphs(layer) if isinstance(layer, keras.Model) else (layer,))
    ]


def layers_of(model, kind: type = keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layers of type `kind` among `model` and everything inside it, subclassed or not."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


def unrepeatable_layers(network) -> list[keras.layers.Layer]:
    """Layers that draw new random numbers when called again, whatever state is restored.

    Keras 3 keeps its random state in variables. Keras 2.15 does so in its augmentation layers
    only (see `random_states`): its dropout and noise layers have no state to restore.
    """
    if KERAS_3:
        return []
    random_layer = keras.__internal__.layers.BaseRandomLayer

    def draws_anew(layer) -> bool:
        if isinstance(layer, random_layer):
            stateless = layer._random_generator._rng_type == "legacy_stateful"
            return stateless and getattr(layer, "rate", 1) > 0
        # KerasCV's drop path and drop block draw when they are traced, once per pass.
        regularises = type(layer).__module__.startswith("keras_cv.src.layers.regularization")
        return regularises and layer.get_config().get("rate", 0) > 0

    return [layer for layer in layers_of(network) if draws_anew(layer)]


def random_states(network) -> list[tf.Variable]:
    """Random states that Keras does not list among a network's variables.

    These are the states of the TensorFlow generators in its layers (augmentation layers of
    Keras 2.15, KerasCV's on both) and of Keras 3's global generator, used by layers without a
    seed.
    """
    states = []
    for layer in layers_of(network):
        for value in vars(layer).values():
            if hasattr(value, "_maybe_init"):  # Keras 2.15 wraps it and creates it on first use
                value._maybe_init()
                value = value._generator
            if isinstance(value, tf.random.Generator):
                states.append(value.state)
    # Each of several replicas has its own thread, and Keras one global generator per thread,
    # which it cannot create inside a step: layers without a seed raise Keras's own error there.
    if KERAS_3 and tf.distribute.get_strategy().num_replicas_in_sync == 1:
        states.append(keras.src.random.seed_generator.global_seed_generator().state.value)
    return states


class VersionedModel(keras.Model):
    """Base class of `SimCLR`: the parts of `keras.Model` that differ between Keras versions."""

    # Keras 2.15 deletes the instance's after a `fit` with BackupAndRestore, and needs it in the next.
    _training_state = None

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Does nothing: already built; Keras 3 would average the replicas' images to do it."""

    def _symbolic_build(self, *args, **kwargs):
        """Does nothing: already built; Keras 3 would call the model on a batch of crops."""

    def logs_of_replica(self, logs: dict) -> dict:
        """What a step must return: with several workers, Keras 3 averages logs over an axis."""
        extended = tf.distribute.get_strategy().extended
        # The trainer's own test; False or missing for every single-process strategy.
        if KERAS_3 and getattr(extended, "_in_multi_worker_mode", bool)():
            return {name: tf.reshape(value, [1]) for name, value in logs.items()}
        return logs


def export_signature(shape: tuple[int, ...]) -> dict:
    """The argument of `export` for batches of any size; Keras 2.15 uses those of the first call."""
    return {"input_signature": [tf.TensorSpec((None, *shape[1:]))]} if KERAS_3 else {}


def scaled(optimizer, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate: multiplied by the loss scale under float16."""
    if KERAS_3:
        return optimizer.scale_loss(loss)
    return optimizer.get_scaled_loss(loss) if hasattr(optimizer, "get_scaled_loss") else loss


def apply_gradients(optimizer, gradients, variables) -> tf.Tensor:
    """One optimizer step, which sums the gradients over replicas and undoes loss scaling.

    Args:
        optimizer: One that `build_optimizer` has built.
        gradients: This replica's; `None` where there is none.
        variables: The variables to train, in the same order.

    Returns:
        The norm of the sum, over all variables and without loss scaling, float32 scalar.
    """
    if not KERAS_3 and hasattr(optimizer, "get_unscaled_gradients"):
        gradients = optimizer.get_unscaled_gradients(gradients)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync > 1:
        given = [g for g in gradients if g is not None]
        summed = iter(context.all_reduce(tf.distribute.ReduceOp.SUM, given))
        gradients = [g if g is None else next(summed) for g in gradients]
    norm = tf.cast(tf.linalg.global_norm([g for g in gradients if g is not None]), tf.float32)
    if KERAS_3 and hasattr(optimizer, "dynamic_scale"):  # before the step changes it
        norm /= tf.convert_to_tensor(optimizer.dynamic_scale)
    options = {} if KERAS_3 else {"experimental_aggregate_gradients": False}
    optimizer.apply_gradients(zip(gradients, variables), **options)
    return norm


def loss_scale(optimizer) -> float | None:
    """By what float16 multiplies the loss now; `None` without loss scaling."""
    scale = getattr(optimizer, "dynamic_scale" if KERAS_3 else "loss_scale", None)
    return None if scale is None else float(tf.convert_to_tensor(scale))


def lamb(learning_rate):
    """LAMB: the built-in one on Keras 3, TensorFlow Addons' on Keras 2.15."""
    if KERAS_3:
        return keras.optimizers.Lamb(learning_rate)
    try:
        import tensorflow_addons as tfa
    except ImportError as error:
        raise ValueError(
            "LAMB on Keras 2.15 comes from TensorFlow Addons, which is not installed. "
            'Run: pip install "simclr_keras[addons]"'
        ) from error
    return tfa.optimizers.LAMB(learning_rate)
