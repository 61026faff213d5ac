"""`evaluate`: how good are the frozen features of a run?"""

import os

import keras

from ..data.datasets import evaluation_dataset, load_source
from ..errors import InputError
from ..evaluation.features import extract_features
from ..evaluation.knn import knn_accuracy
from ..evaluation.linear_probe import LinearProbe
from .config import PretrainConfig
from .directory import write_json
from .trained_encoder import trained_encoder

_KNN_NEIGHBOURS = 200
_KNN_TEMPERATURE = 0.1


def evaluate(
    run_dir: str | os.PathLike | None,
    dataset: str | None = None,
    eval_dataset: str | None = None,
    data_dir: str | None = None,
    batch_size: int = 256,
    compare_random: bool = False,
    official: str | os.PathLike | None = None,
    image_size: int | None = None,
) -> dict:
    """Evaluates a run by weighted kNN and linear evaluation of its frozen features.

    Both are fitted on the labels of the training part and measured on the test part: `train/`
    and `test/` (or `val/`) of a folder, the splits of a TFDS dataset, or else a seeded,
    stratified fifth that is held out. Every test image counts once; nothing is chosen on them.

    Args:
        run_dir: A finished run directory, or `None` with `official`.
        dataset: Data with labels. Defaults to what the run was pretrained on.
        eval_dataset: Another dataset, whose test part is measured instead.
        data_dir: Folder of TFDS data. Defaults to the run's.
        batch_size: Images per forward pass.
        compare_random: Evaluate the same encoder with random weights too.
        official: A checkpoint of the original release instead of a run.
        image_size: Of `official`. Defaults to 224, or 32 with the stem for small images.

    Returns:
        What is written to `RUN/evaluation.json`; without a run nothing is written.

    Raises:
        InputError: If there is no finished run or checkpoint, or the data has no labels.

    Example:
        >>> from simclr_keras.runs.evaluate import evaluate
        >>> evaluate("runs/cifar10")["knn_accuracy"]  # doctest: +SKIP
    """
    trained = trained_encoder(run_dir, official, image_size)
    dataset = dataset or (trained.config and trained.config.dataset)
    if dataset is None:
        raise InputError(
            f"--official needs a labelled dataset to evaluate on. Received: --dataset={dataset}"
        )
    data_dir = data_dir or (trained.config and trained.config.data_dir)
    seed = trained.config.seed if trained.config else PretrainConfig.seed
    train = load_source(dataset, "train", data_dir=data_dir, seed=seed)
    test = load_source(eval_dataset or dataset, "test", data_dir=data_dir, seed=seed)
    for source in (train, test):
        if not source.has_labels:
            raise InputError(
                f"{source.name} has no labels, and evaluation needs them. Put the images in one "
                "sub-folder per class, or name a labelled dataset with --dataset."
            )
    if train.class_names != test.class_names:
        raise InputError(
            f"{train.name} and {test.name} have different classes "
            f"({len(train.class_names)} and {len(test.class_names)}). Evaluate on data with "
            "the same class folders."
        )
    results = {
        "dataset": dataset,
        "eval_dataset": eval_dataset or dataset,
        "train_images": len(train),
        "test_images": len(test),
        "knn_neighbours": min(_KNN_NEIGHBOURS, len(train)),
        "knn_temperature": _KNN_TEMPERATURE,
        **_measure(trained.encoder, train, test, trained.image_size, batch_size),
    }
    if compare_random:
        keras.utils.set_random_seed(seed)
        random_encoder = keras.models.clone_model(trained.encoder)
        results["random_encoder"] = _measure(
            random_encoder, train, test, trained.image_size, batch_size
        )
    if trained.directory:
        write_json(trained.directory.evaluation_file, results)
    return results


def _measure(encoder, train, test, image_size: int, batch_size: int) -> dict:
    train_features, train_labels, test_features, test_labels = (
        array
        for source in (train, test)
        for array in extract_features(
            encoder, evaluation_dataset(source, image_size, batch_size)
        )
    )
    probe = LinearProbe().fit(train_features, train_labels)
    return {
        "knn_accuracy": knn_accuracy(
            train_features,
            train_labels,
            test_features,
            test_labels,
            k=_KNN_NEIGHBOURS,
            temperature=_KNN_TEMPERATURE,
        ),
        "linear_accuracy": probe.accuracy(test_features, test_labels),
        "linear_strength": probe.strength_,
    }
