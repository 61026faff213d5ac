"""Tells Keras where to find our classes when it loads a file that contains them."""

import importlib

# Class -> its module. Keras registers a class when its module is imported, but importing this
# package imports no module.
SAVED_CLASSES = {
    "BatchNormalization": "networks.batch_normalization",
    "Convolution2D": "networks.convolution",
    "Encoder": "networks.encoder",
    "ExportedEncoder": "serving.layer",
    "LARS": "training.lars",
    "Muon": "training.muon",
    "NTXentLoss": "objective.nt_xent",
    "ProjectionHead": "networks.projection_head",
    "SimCLR": "training.simclr",
    "SimCLRAugmenter": "views.augmenter",
    "StridedConv2D": "networks.strided_convolution",
    "TwoViews": "views.two_views",
    "WarmupCosine": "training.schedules",
}


class ImportedOnUse:
    """Stands for a class in Keras' registry until its module is imported.

    Args:
        name: One of `SAVED_CLASSES`.
    """

    def __init__(self, name: str):
        self._name = name

    def from_config(self, config: dict, **options):
        """Imports the class, which registers itself, and makes an object of it."""
        module = importlib.import_module(f"simclr_keras.{SAVED_CLASSES[self._name]}")
        return getattr(module, self._name).from_config(config, **options)


def register(keras) -> None:
    """Registers all of them with Keras; those already imported stay."""
    known = keras.saving.get_custom_objects()
    for name in SAVED_CLASSES:
        known.setdefault(f"simclr_keras>{name}", ImportedOnUse(name))
