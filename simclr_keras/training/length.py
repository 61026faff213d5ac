"""`Length`: how many steps a training has, which may change while it runs."""

import dataclasses


@dataclasses.dataclass
class Length:
    """The steps of a whole training.

    A callback may change them at the end of an interval; `fit_in_intervals` goes by the new number.

    Attributes:
        steps: How many.
    """

    steps: int
