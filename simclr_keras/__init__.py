"""Pretrain image encoders without labels: SimCLR for TensorFlow and Keras.

Names are loaded when first used, so that `simclr-keras --help` does not import TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "ArraySource": "data.sources",
    "EncodedSource": "data.sources",
    "ExportedEncoder": "serving.layer",
    "FileSource": "data.sources",
    "ImageSource": "data.sources",
    "LARS": "training.lars",
    "LinearProbe": "evaluation.linear_probe",
    "NTXentLoss": "objective.nt_xent",
    "PretrainConfig": "runs.config",
    "ProjectionHead": "networks.projection_head",
    "SGDLinearProbe": "evaluation.sgd_linear_probe",
    "SimCLR": "training.simclr",
    "SimCLRAugmenter": "views.augmenter",
    "WarmupCosine": "training.schedules",
    "build_encoder": "networks.encoders",
    "choose_labels": "classifiers.labels",
    "classification_metrics": "evaluation.metrics",
    "decoupled_nt_xent_loss": "objective.nt_xent",
    "distill": "classifiers.distill",
    "export_classifier": "serving.export",
    "export_encoder": "serving.export",
    "extract_features": "evaluation.features",
    "fine_tune": "classifiers.fine_tune",
    "knn_accuracies": "evaluation.knn",
    "knn_accuracy": "evaluation.knn",
    "learning_curve": "evaluation.learning_curve",
    "load_encoder": "networks.saved_encoder",
    "load_exported": "serving.versions",
    "load_official_checkpoint": "networks.official_checkpoints",
    "load_source": "data.datasets",
    "nt_xent_loss": "objective.nt_xent",
    "prepare_encoder": "networks.adapter",
    "pretrain": "runs.pretrain",
    "scale_learning_rate": "training.defaults",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value  # the next access finds it without this function
    return value


def __dir__():
    return sorted([*globals(), *__all__])
