"""`GrowingViews`: gives the views of a run the sizes of its schedule."""

import math

from ..errors import InputError
from ..training.length import Length
from ..training.simclr import SimCLR
from ..training.sizes import SizeSchedule
from ..views.augmenter import SimCLRAugmenter


class GrowingViews:
    """Resizes the views between intervals; the training step is then traced again.

    Args:
        sizes: The schedule; `None` if the size does not change.
        model: The model, whose augmenter makes the views.
        augmenter: Another one with the same settings, for crops that are cut while decoding.

    Raises:
        InputError: If the encoder takes images of one size only.
    """

    def __init__(self, sizes: SizeSchedule | None, model: SimCLR, augmenter: SimCLRAugmenter):
        self._sizes, self._model = sizes, model
        self._augmenters = [model.augmenter, augmenter]
        if sizes is None:
            return
        if None not in model.encoder.input_shape[1:3]:
            raise InputError(
                "`image_size_schedule` needs an encoder of images of any size, such as a SimCLR "
                f"ResNet or airbench. Received: encoder={model.encoder.name}, which takes "
                f"{model.encoder.input_shape[1]} pixels"
            )
        self._resize(sizes.at(0.0))

    def begin(self, first: int, interval: int, length: Length) -> int | None:
        """Resizes the views for the steps from `first` on.

        Args:
            first: A step.
            interval: Steps between checkpoints.
            length: The length of the run.

        Returns:
            The step before which the size changes next, at the end of an interval; `None` if it
            does not.
        """
        if self._sizes is None:
            return None
        # An interrupted interval goes on with the size that it began with.
        share = (first - first % interval) / length.steps
        # A budget may lengthen the run: views do not shrink again.
        self._resize(max(self._sizes.at(share), self._model.augmenter.image_size))
        change = self._sizes.next_change(share)
        return (
            None if change is None else math.ceil(change * length.steps / interval) * interval
        )

    def _resize(self, size: int) -> None:
        if self._model.augmenter.image_size != size:
            for augmenter in self._augmenters:
                augmenter.resize(size)
            self._model.trace_again()
