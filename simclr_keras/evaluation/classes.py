"""`match_classes`: the classes of two sources, matched by name."""

import numpy as np

from ..data.sources import ImageSource
from ..errors import InputError

_NAMED = 5  # classes that a message names


def match_classes(train: ImageSource, test: ImageSource) -> np.ndarray:
    """The training part's number for each class of the test part, matched by name.

    Args:
        train: Labelled images.
        test: Labelled images; it may lack classes that `train` has.

    Returns:
        int64 `(C,)` of the test part's C classes; -1 for one without images.

    Raises:
        InputError: If `train` has images of fewer than two classes, or `test` of a class that
            `train` has none of.
    """
    known = {class_name(train, label): label for label in np.unique(train.labels)}
    if len(known) < 2:
        raise InputError(
            f"{train.name} has labelled images of {len(known)} class, and evaluation tells "
            "classes apart. Add a sub-folder for each other class, or name other data with "
            "`dataset`."
        )
    present = {int(label): class_name(test, label) for label in np.unique(test.labels)}
    unknown = [name for name in present.values() if name not in known]
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise InputError(
            f"{test.name} has classes of which {train.name} has no image to learn from: "
            f"{', '.join(unknown[:_NAMED])}{more}. Add training images of them under the same "
            "names, or leave them out of the test images."
        )
    numbers = np.full(max(present) + 1, -1)
    for label, name in present.items():
        numbers[label] = known[name]
    return numbers


def class_name(source: ImageSource, label: int) -> str:
    """The name of a class, or its number where there is none."""
    return source.class_names[label] if source.class_names else str(label)
