"""The parts of a `SimCLR`: those given, or what the paper's rules say."""

from collections.abc import Callable

import keras

from ..data.images import UNIT_RANGE
from ..networks.adapter import check_features
from ..networks.encoders import build_encoder
from ..objective.nt_xent import NTXentLoss
from ..views.augmenter import SimCLRAugmenter
from ..views.two_views import as_augmenter

_IMAGE_SIZE = 224  # of an encoder that is given by name
_SMALL = 32  # images of CIFAR-10's size: Appendix B.9


def encoder_of(
    encoder: str | keras.Model, image_size: int | None
) -> tuple[keras.Model, int | None]:
    """The encoder, and the height and width of its views in pixels if they are known.

    Args:
        encoder: The network, or a name for `build_encoder`.
        image_size: As the user gave it; 224 if only a name is given.

    Raises:
        ValueError: If it is neither a model nor a name.
    """
    if isinstance(encoder, str):
        image_size = image_size or _IMAGE_SIZE
        return build_encoder(encoder, image_size), image_size
    if not isinstance(encoder, keras.Model):
        raise ValueError(
            "`encoder` must be a `keras.Model`, or a name for `build_encoder`. Received: "
            f"encoder={encoder!r}"
        )
    return encoder, image_size or input_size(encoder)


def features_shape(encoder: keras.Model, image_size: int | None) -> tuple:
    """The shape `(None, D)` of an encoder's features.

    Functional and sequential models know it. Others, such as subclassed models, are called on a
    symbolic image, which also builds them.

    Args:
        encoder: The encoder.
        image_size: Height and width of the views in pixels, if known.

    Raises:
        ValueError: If the encoder returns something else, or `image_size` is needed.
    """
    features = getattr(encoder, "output", None)
    if features is None:  # not built, or subclassed
        if image_size is None:
            raise ValueError(
                "The output of `encoder` is not known before it is called. Give `image_size`. "
                f"Received: encoder={encoder.name}, image_size=None"
            )
        features = encoder(keras.Input((image_size, image_size, channels_of(encoder))))
    check_features(features, encoder.name, ", or use `build_encoder`, which pools backbones")
    return tuple(features.shape)


def input_size(encoder: keras.Model) -> int | None:
    """The height of the images that an encoder takes, if it takes one size only."""
    return _input_shape(encoder)[1]


def channels_of(encoder: keras.Model) -> int:
    """The channels of the images that an encoder takes; 3 if it does not say."""
    return _input_shape(encoder)[-1] or 3


def _input_shape(encoder: keras.Model) -> tuple:
    """`(N, H, W, C)`, `None` where it is not known."""
    shape = getattr(encoder, "input_shape", None)
    return shape if isinstance(shape, tuple) else (None, None, None, None)


def augmenter_of(
    augmenter: keras.layers.Layer | Callable | None,
    image_size: int | None,
    value_range: tuple[float, float] | None,
) -> keras.layers.Layer:
    """The augmenter as `as_augmenter` makes it, or the paper's.

    Views of up to 32 pixels get what the paper uses on CIFAR-10 (Appendix B.9): colour jitter of
    strength 0.5 and no blur.

    Raises:
        ValueError: If the size of the views is not known.
    """
    if augmenter is not None:
        return as_augmenter(augmenter)
    if image_size is None:
        raise ValueError(
            "The encoder takes images of any size, so the size of the views is not known. Give "
            "`image_size`, or an augmenter. Received: image_size=None"
        )
    is_small = image_size <= _SMALL
    return SimCLRAugmenter(
        image_size,
        0.5 if is_small else 1.0,
        blur=not is_small,
        value_range=value_range or UNIT_RANGE,
    )


def loss_of(loss: Callable | str | None, temperature: float) -> Callable | None:
    """The contrastive loss: itself, or the one with this name; `None` is NT-Xent.

    Raises:
        ValueError: If no loss has this name.
    """
    if not isinstance(loss, str):
        return loss
    if loss not in ("nt-xent", "decoupled"):
        raise ValueError(
            "`loss` must be 'nt-xent', 'decoupled' or a function of two batches of projections. "
            f"Received: loss={loss!r}"
        )
    return NTXentLoss(temperature, decoupled=True) if loss == "decoupled" else None
