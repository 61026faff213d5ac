"""`Length`: how many steps a training has, which may change while it runs."""

import dataclasses

from .sizes import SizeSchedule


@dataclasses.dataclass
class Length:
    """The steps of a whole training.

    A callback may change them at the end of an interval; `fit_in_intervals` goes by the new number.

    Attributes:
        steps: How many.
        sizes: The sizes of the views, if they change; they decide what a step costs.
    """

    steps: int
    sizes: SizeSchedule | None = None

    def work(self, first: int, last: int) -> float:
        """The cost of the steps from `first` to `last` - 1, in steps of the last size."""
        if self.sizes is None:
            return last - first
        return self.steps * self.sizes.work(first / self.steps, last / self.steps)
