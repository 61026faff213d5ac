"""`MeasuredImages`: what an accuracy was measured on, and whether pretraining saw it."""

import dataclasses

from ..result import Result


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasuredImages(Result):
    """The test images of a result.

    Attributes:
        test_images: Images of the test part, each measured once; 0 without one.
        test_images_seen: How many of them pretraining saw; `None` if that is not known, as for
            other data than the run's.
        seen_in_pretraining: Whether pretraining saw any of them; `None` if that is not known.
    """

    test_images: int
    test_images_seen: int | None
    seen_in_pretraining: bool | None

    @property
    def warning(self) -> str | None:
        """What to say next to the accuracy if pretraining saw test images."""
        return seen_warning(self.test_images_seen, self.test_images)


def seen_warning(seen: int | None, images: int) -> str | None:
    """What to say next to an accuracy if pretraining saw test images.

    Args:
        seen: How many of them it saw; `None` if that is not known.
        images: The number of test images.
    """
    if not seen:
        return None
    share = "all" if seen == images else f"{seen} of the"
    return f"Pretraining saw {share} {images} test images: on new images the accuracy may be lower."
