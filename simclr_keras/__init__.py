"""Pretrain image encoders without labels: SimCLR for TensorFlow and Keras.

The public names are listed in `__init__.pyi`, which editors read too. Each is imported on first
use, so that `simclr-keras --help` does not import TensorFlow.
"""

import lazy_loader
import wrapt

from . import registered

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

wrapt.when_imported("keras")(registered.register)
del lazy_loader, wrapt  # editors would offer them after `sk.`
