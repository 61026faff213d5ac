"""`distill_run`: a student learns from a run's classifier on images without labels."""

import dataclasses
import logging
from collections.abc import Sequence

import keras
import numpy as np

from ..classifiers.distill import distill
from ..classifiers.fine_tune import build_classifier
from ..classifiers.labels import read_labels
from ..classifiers.training import measure
from ..distribution.strategy import choose_local_strategy
from ..local_copies import with_local_copies
from ..networks.encoders import build_encoder
from ..networks.precision import copy_of
from ..progress import progress_shown
from ..seeds import seed_of_32_bits
from .classifier_config import DistillConfig
from .classifier_results import DistillResult
from .classifiers import SavedClassifier, find_classifier
from .directory import RunDirectory
from .labelled_data import data_sets, test_part, training_part
from .report_page import refresh_page
from .results import check_results, record_result
from .run_images import locate_images
from .seen import seen_fields

_LOGGER = logging.getLogger("simclr_keras")
_TEMPERATURES = {"teacher": 0.1, "pretrained": 0.1}


@progress_shown()
@with_local_copies
def distill_run(
    config: DistillConfig, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> DistillResult:
    """Distils a fine-tuned classifier of a run into `RUN/distilled/NAME/`.

    The student learns from the teacher's predictions on all training images; labels are used
    only with `label_weight`, and then only those the teacher was trained on. Files and results
    are as for `fine_tune_run`, without `labels.csv`.

    Args:
        config: The settings.
        callbacks: Further Keras callbacks, as of `distill`.

    Returns:
        A `DistillResult`.

    Raises:
        InputError: If there is no such teacher, or a classifier of that name has other settings.
        RunFailure: If training cannot continue.

    Example:
        >>> import simclr_keras as sk
        >>> teacher = sk.FineTuneConfig(run="runs/digits", labels_per_class=1, steps=2, name="a")
        >>> taught = sk.fine_tune_run(teacher)
        >>> result = sk.distill_run(sk.DistillConfig(run="runs/digits", teacher="a", steps=2))
        >>> result.teacher, result.images
        ('a', 1437)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 2.3.
    """
    directory = RunDirectory(config.run)
    strategy = choose_local_strategy(config.strategy)
    pretraining, dataset = locate_images(directory, config.dataset)
    config = dataclasses.replace(config, dataset=dataset)
    teaches = find_classifier(directory, config.teacher, ("fine-tuned",))
    folder = config.folder_of(teaches.name)
    saved = SavedClassifier(directory.path / folder)
    finished = saved.finished_result(config, pretraining)
    if finished is not None:
        record_result(directory, "distill", finished, once=True)
        _LOGGER.info("%s is finished: nothing to do.", saved.path)
        return DistillResult(**finished, page=refresh_page(directory))
    check_results(directory)
    with strategy.scope():
        teacher = teaches.load()
    class_names = teaches.read_class_names()
    # Test where the teacher was tested: it may have trained on images held out by default.
    taught = teaches.read_settings()
    there = config.eval_dataset or taught["eval_dataset"]
    data = dataclasses.replace(config, eval_dataset=there)
    source = training_part(data, pretraining)
    test = test_part(data, pretraining, class_names, needed=source.has_labels)
    labels = np.full(len(source), -1)
    if config.label_weight:
        known = read_labels(teaches.labels_file, source)
        labels[known.indices] = known.labels
    source = source.with_labels(labels, class_names)
    student = _student(config, directory, teaches, teacher, len(class_names))
    temperature = config.temperature or _TEMPERATURES.get(config.student, 1.0)
    with strategy.scope():
        distilled = distill(
            teacher,
            student,
            source,
            temperature=temperature,
            label_weight=config.label_weight,
            image_size=pretraining.image_size,
            callbacks=callbacks,
            checkpoints_in=saved.checkpoints,
            **config.training(pretraining),
        )
    # Outside the strategy.
    distilled = distilled._replace(classifier=copy_of(distilled.classifier))
    result = DistillResult(
        classifier=folder,
        teacher=teaches.name,
        student=config.student,
        parameters=student.count_params(),
        **data_sets(data, pretraining),
        images=len(source),
        temperature=temperature,
        label_weight=config.label_weight,
        seed=config.seed,
        **distilled.summary(),
        **measure(distilled.classifier, test, pretraining.image_size),
        **seen_fields(
            directory,
            pretraining,
            test,
            data_sets(data, pretraining)["eval_dataset"],
            pretrained=not taught["from_scratch"] or config.student == "pretrained",
        ),
    )
    saved.save(config, distilled, class_names, result.to_dict())
    record_result(directory, "distill", result.to_dict())
    return dataclasses.replace(result, page=refresh_page(directory))


def _student(config, directory, teaches, teacher, num_classes: int) -> keras.Model:
    if config.student == "teacher":
        return teacher
    if config.student == "pretrained":
        layers = teaches.read_settings()["head_layers"]
        head = directory.load_projection_head() if layers else None
        return build_classifier(
            directory.load_encoder(), num_classes, head, layers, config.seed
        )
    pretraining = directory.read_config()
    keras.utils.set_random_seed(seed_of_32_bits(config.seed))
    encoder = build_encoder(
        config.student,
        pretraining.image_size,
        channels=teacher.input_shape[-1],
        width_multiplier=config.student_width,
        small_image_stem=pretraining.small_image_stem
        and config.student.startswith("simclr_resnet"),
    )
    return build_classifier(encoder, num_classes, seed=config.seed)
