"""`SizeSchedule`: views that grow while a run trains."""

import dataclasses
import itertools

from ..errors import InputError, printable


@dataclasses.dataclass(frozen=True)
class SizeSchedule:
    """The size of the views as a function of the share of the run that is over.

    Small views first cost little, and what they teach carries over to larger ones. The last size
    is the one that the encoder is used at.

    Attributes:
        starts: (size in pixels, share of the run from which on it holds), the first from 0 on.
    """

    starts: tuple[tuple[int, float], ...]

    @classmethod
    def parse(cls, text: str, image_size: int) -> "SizeSchedule":
        """Reads a schedule.

        Args:
            text: Such as `16@0,24@0.4,32@0.8`.
            image_size: What the last size must be.

        Raises:
            InputError: If it is not a schedule, or ends at another size.

        Example:
            >>> from simclr_keras.training.sizes import SizeSchedule
            >>> sizes = SizeSchedule.parse("16@0,32@0.5", 32)
            >>> [sizes.at(share) for share in (0.0, 0.49, 0.5, 1.0)]
            [16, 16, 32, 32]
        """
        try:
            pairs = [part.split("@") for part in text.split(",")]
            starts = tuple((int(size), float(share)) for size, share in pairs)
        except ValueError:
            starts = ()
        sizes, shares = [size for size, _ in starts], [share for _, share in starts]
        pairs_of = (itertools.pairwise(sizes), itertools.pairwise(shares))
        grow = all(a < b for values in pairs_of for a, b in values)
        if not starts or not grow or sizes[0] < 1 or shares[0] != 0 or shares[-1] >= 1:
            raise InputError(
                "`image_size_schedule` must be SIZE@SHARE,SIZE@SHARE,... with growing sizes, and "
                "shares of the run that grow from 0 to less than 1, such as 16@0,24@0.4,32@0.8. "
                f"Received: image_size_schedule={printable(text)}"
            )
        if starts[-1][0] != image_size:
            raise InputError(
                "`image_size_schedule` must end with `image_size`, at which the encoder is used. "
                f"Received: image_size_schedule={printable(text)}, image_size={image_size}"
            )
        return cls(starts)

    def at(self, share: float) -> int:
        """The size at a share of the run, from 0 to 1."""
        return [size for size, start in self.starts if start <= share][-1]

    def next_change(self, share: float) -> float | None:
        """The share of the run at which the size changes next; `None` if it does not."""
        return next((start for _, start in self.starts if start > share), None)

    def work(self, first: float, last: float) -> float:
        """The cost of the part of a run between two shares, relative to all of it at the last size.

        A step costs as much as its views have pixels.
        """
        ends = [*(start for _, start in self.starts[1:]), 1.0]
        whole = self.starts[-1][0] ** 2
        return sum(
            size**2 / whole * max(0.0, min(last, end) - max(first, start))
            for (size, start), end in zip(self.starts, ends)
        )
