"""`match_classes`: matches the classes of two sources by name."""

import numpy as np

from ..data.sources import ImageSource
from ..errors import InputError, named

_NAMED = 5  # most classes listed in a message


def match_classes(train: ImageSource, test: ImageSource) -> np.ndarray:
    """Maps each test class to the label of the training class with the same name.

    Args:
        train: Labelled images.
        test: Labelled images; it may lack some classes of `train`.

    Returns:
        int64 `(C,)`: the training label of each of the C test classes; -1 for a class without
            images.

    Raises:
        InputError: If `train` has images of fewer than two classes, or `test` has images of a
            class without images in `train`.
    """
    known = {class_name(train, label): label for label in np.unique(train.labels)}
    if len(known) < 2:
        raise InputError(
            f"{train.name} has labelled images of {len(known)} class(es), but evaluation needs at "
            "least two. Add a sub-folder for each other class, or choose other data with "
            "`dataset`."
        )
    present = {int(label): class_name(test, label) for label in np.unique(test.labels)}
    unknown = [name for name in present.values() if name not in known]
    if unknown:
        raise InputError(
            f"{test.name} has classes without training images in {train.name}: "
            f"{named(unknown, _NAMED)}. Add training images under the same class "
            "names, or remove these classes from the test images."
        )
    numbers = np.full(max(present) + 1, -1)
    for label, name in present.items():
        numbers[label] = known[name]
    return numbers


def class_name(source: ImageSource, label: int) -> str:
    """The name of a class, or its label if the source has no class names."""
    return source.class_names[label] if source.class_names else str(label)
