"""`fine_tune_run`: a classifier from a run's encoder and few labels."""

import dataclasses
import logging
from collections.abc import Sequence

import keras

from ..classifiers.fine_tune import fine_tune
from ..classifiers.training import measure
from ..distribution.strategy import choose_local_strategy
from ..local_copies import with_local_copies
from ..networks.precision import copy_of
from ..networks.projection_head import ProjectionHead
from ..progress import progress_shown
from ..seeds import seed_of_32_bits
from .classifier_config import FineTuneConfig
from .classifier_results import FineTuneResult
from .classifiers import SavedClassifier
from .directory import RunDirectory
from .labelled_data import (
    chosen_labels,
    data_sets,
    test_part,
    training_part,
)
from .report_page import refresh_page
from .results import check_results, record_result
from .run_images import locate_images
from .run_of_model import run_of_model
from .seen import seen_fields

_LOGGER = logging.getLogger("simclr_keras")


@progress_shown()
@with_local_copies
def fine_tune_run(
    config: FineTuneConfig, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> FineTuneResult:
    """Fine-tunes the encoder of a finished run into `RUN/fine-tuned/NAME/`.

    From a trained model, such as an export, `run_dir` is made first: a run of no step.

    The folder holds `classifier.keras`, `classes.json`, `labels.csv` (the labels used),
    `history.csv`, `settings.json` and `result.json`; either all are written or none. The
    accuracy on the test part is recorded in `RUN/results.json`; nothing is chosen on the test
    part. Repeating the same settings continues an interrupted training from its last checkpoint,
    and returns the earlier result of a finished one.

    Args:
        config: The settings.
        callbacks: Further Keras callbacks, as of `fine_tune`.

    Returns:
        A `FineTuneResult`.

    Raises:
        InputError: If there is no finished run, the labels cannot be used, or a classifier of
            that name has other settings.
        RunFailure: If training cannot continue.

    Example:
        >>> import simclr_keras as sk
        >>> config = sk.FineTuneConfig(run="runs/digits", labels_per_class=1, steps=2)
        >>> result = sk.fine_tune_run(config)
        >>> result.classifier, result.labels, result.test_images
        ('fine-tuned/1-per-class-seed0', 10, 360)

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2006.10029, Section 3.
    """
    config = run_of_model(config)
    directory = RunDirectory(config.run)
    strategy = choose_local_strategy(config.strategy)
    encoder = directory.load_encoder()
    pretraining, dataset = locate_images(directory, config.dataset)
    head_layers = config.head_layers
    if head_layers is None:
        has_head = pretraining.steps != 0 or directory.projection_head_file.exists()
        head_layers = int(has_head and not config.frozen)
    config = dataclasses.replace(config, dataset=dataset, head_layers=head_layers)
    head = directory.load_projection_head() if head_layers else None
    saved = SavedClassifier(directory.path / config.folder)
    finished = saved.finished_result(config, pretraining)
    if finished is not None:
        record_result(directory, "fine-tune", finished, once=True)
        _LOGGER.info("%s is finished: nothing to do.", saved.path)
        return FineTuneResult(**finished, page=refresh_page(directory))
    check_results(directory)
    source = training_part(config, pretraining)
    chosen = chosen_labels(config, source)
    test = test_part(config, pretraining, chosen.class_names, needed=source.has_labels)
    if config.from_scratch:
        encoder, head = _random_weights(encoder, head, config.seed)
    with strategy.scope():
        tuned = fine_tune(
            encoder,
            source.subset(chosen.indices).with_labels(chosen.labels, chosen.class_names),
            projection_head=head,
            head_layers=head_layers,
            validation_fraction=config.validation_fraction,
            image_size=pretraining.image_size,
            callbacks=callbacks,
            checkpoints_in=saved.checkpoints,
            frozen=config.frozen,
            **config.training(pretraining),
        )
    data = data_sets(config, pretraining)
    # Outside the strategy.
    tuned = tuned._replace(classifier=copy_of(tuned.classifier))
    result = FineTuneResult(
        classifier=config.folder,
        **data,
        labels=len(chosen.indices),
        classes=len(chosen.class_names),
        label_fraction=config.label_fraction,
        labels_per_class=config.labels_per_class,
        from_scratch=config.from_scratch,
        head_layers=head_layers,
        frozen=config.frozen,
        seed=config.seed,
        **tuned.summary(),
        **measure(tuned.classifier, test, pretraining.image_size),
        **seen_fields(
            directory, pretraining, test, data["eval_dataset"], not config.from_scratch
        ),
    )
    saved.save(config, tuned, chosen.class_names, result.to_dict(), source, chosen)
    record_result(directory, "fine-tune", result.to_dict())
    return dataclasses.replace(result, page=refresh_page(directory))


def _random_weights(encoder: keras.Model, head: ProjectionHead | None, seed: int):
    """The same networks with new random weights."""
    keras.utils.set_random_seed(seed_of_32_bits(seed))
    fresh = keras.models.clone_model(encoder)
    if head is not None:
        head = ProjectionHead.from_config(head.get_config())
        head.build(encoder.output_shape)
    return fresh, head
