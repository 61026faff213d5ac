"""The images that a run's classifiers learn from and are measured on."""

import typing

import numpy as np

from ..classifiers.labels import LabelList, choose_labels, read_labels
from ..data.datasets import is_same_data
from ..data.sources import ImageSource
from ..errors import InputError
from .classifier_config import ClassifierConfig, FineTuneConfig
from .directory import RunDirectory
from .pretrain_config import PretrainConfig
from .run_source import run_source


def data_sets(config: ClassifierConfig, pretraining: PretrainConfig) -> dict[str, typing.Any]:
    """The names of the data to train on, `dataset`, and to measure on, `eval_dataset`."""
    dataset = config.dataset or pretraining.dataset
    return {"dataset": dataset, "eval_dataset": config.eval_dataset or dataset}


def training_part(config: ClassifierConfig, pretraining: PretrainConfig) -> ImageSource:
    """The images to train on, labelled and unlabelled, without those of the test part.

    Args:
        config: The classifier's settings.
        pretraining: The run's settings.
    """
    return _part("train", config, pretraining, labelled=False)


def chosen_labels(config: FineTuneConfig, source: ImageSource) -> LabelList:
    """The labels that a classifier may learn from."""
    if config.labels:
        return read_labels(config.labels, source)
    indices = choose_labels(
        source.labels,
        label_fraction=config.label_fraction,
        labels_per_class=config.labels_per_class,
        seed=config.seed,
    )
    return LabelList(indices, source.labels[indices], source.class_names)


def test_part(
    config: ClassifierConfig,
    pretraining: PretrainConfig,
    class_names: tuple[str, ...],
    needed: bool = True,
) -> ImageSource | None:
    """The images to measure on, labelled with the classifier's class numbers.

    Classes are matched by name: a class unknown to the classifier gets a number that it never
    predicts.

    Args:
        config: The classifier's settings.
        pretraining: The run's settings.
        class_names: The classifier's classes.
        needed: Whether to raise an error if there are no labelled images to measure on, as
            always with an `eval_dataset`; otherwise `None` is returned.

    Raises:
        InputError: If there are no such images, or they have none of the classifier's classes.
    """
    try:
        test = _part("test", config, pretraining)
    except InputError:
        if needed or config.eval_dataset:
            raise
        return None
    number = {name: index for index, name in enumerate(class_names)}
    if not set(number) & set(test.class_names):
        raise InputError(
            f"{test.name} has none of the classifier's classes ({', '.join(class_names[:5])}). "
            f"Name other images with `eval_dataset`. Received: {', '.join(test.class_names[:5])}"
        )
    known = np.array([number.get(name, len(number)) for name in test.class_names])
    return test.with_labels(known[test.labels], class_names)


def _part(
    split: str, config: ClassifierConfig, pretraining: PretrainConfig, **options
) -> ImageSource:
    names = data_sets(config, pretraining)
    return run_source(
        pretraining,
        split,
        names["eval_dataset" if split == "test" else "dataset"],
        config.data_dir,
        RunDirectory(config.run),
        hold_out=is_same_data(*names.values()),
        **options,
    )
