"""`module:function`: an encoder that a function of the user's own builds."""

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable

import keras

from ..errors import InputError
from .presets import KERAS_CV, KERAS_HUB


def is_function(name: str) -> bool:
    """Whether a name is `module:function`."""
    return ":" in name and not name.lower().startswith((KERAS_CV, KERAS_HUB))


def function_of(name: str) -> Callable[..., keras.Model]:
    """Imports the function that `module:function` names.

    Modules are found in the current folder and in what is installed. The name must come from the
    user, never from a file: importing a module runs its code.

    Args:
        name: `module:function`.

    Returns:
        A function of `image_size` and `channels`, which gives the user's function those that it
        takes and returns its model.

    Raises:
        InputError: If there is no such function, or what it returns is not a model.
    """
    module, _, attribute = name.partition(":")
    try:
        with _current_folder():
            function = getattr(importlib.import_module(module), attribute)
        takes = inspect.signature(function).parameters
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{name} cannot be imported ({error}). Write module:function, with a module in the "
            "current folder or an installed package, and a function that returns the encoder and "
            "takes nothing, `image_size` or `channels`."
        ) from error

    def build(**sizes) -> keras.Model:
        with _current_folder():  # it may import more
            model = function(**{key: value for key, value in sizes.items() if key in takes})
        if not isinstance(model, keras.Model):
            raise InputError(
                f"{name} must return a `keras.Model`. Received: {type(model).__name__}"
            )
        return model

    return build


@contextlib.contextmanager
def _current_folder():
    """Context in which modules of the current folder can be imported."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
