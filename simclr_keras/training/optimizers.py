"""`make_optimizer`: creates optimizers by name; none of them decays biases and batch norm."""

import keras

from ..keras_versions import lamb
from ..settings import check_choice, choices_of
from .defaults import OptimizerName
from .lars import LARS
from .muon import Muon


def make_optimizer(name: OptimizerName, learning_rate, weight_decay: float, variables):
    """The optimizer of a run, a classifier or a verification.

    As in LARS, only tensors of rank 2 or more are decayed. Biases and batch norm's gamma and
    beta are not, as in the original release. Keras' SGD and AdamW decouple the decay from the
    gradient: w = w - learning rate * weight decay * w.

    Args:
        name: `"lars"`; `"sgd"`, with Nesterov momentum 0.9; `"adamw"`; `"muon"`; or `"lamb"`, which
            takes no weight decay.
        learning_rate: A number or a schedule.
        weight_decay: 0 or more.
        variables: The variables to train.

    Returns:
        A Keras optimizer that has not been built.

    Raises:
        InputError: If the name is unknown.
    """
    check_choice("optimizer", name, choices_of(OptimizerName))
    if name == "lars":
        return LARS(learning_rate, weight_decay=weight_decay)
    if name == "muon":
        return Muon(learning_rate, weight_decay=weight_decay)
    if name == "lamb":
        return lamb(learning_rate)
    if name == "sgd":
        optimizer = keras.optimizers.SGD(
            learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay or None
        )
    else:
        optimizer = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay([v for v in variables if len(v.shape) < 2])
    return optimizer
