"""`quickstart`: the whole pipeline on scikit-learn's digits, in minutes on a CPU."""

import dataclasses
import pathlib
import typing

import keras
import numpy as np

from ..classifiers.labels import choose_labels
from ..data.datasets import evaluation_dataset
from ..data.images import to_unit_range
from ..evaluation.features import extract_features
from ..evaluation.linear_probe import LinearProbe
from ..evaluation.paired import mean_difference
from ..files import write_json
from ..local_copies import folder_here, with_local_copies
from ..plots.views import draw_views
from ..progress import progress_shown
from ..seeds import seed_of_32_bits
from .config import EvaluateConfig, ExportConfig, QuickstartConfig
from .directory import RunDirectory
from .evaluate import evaluate
from .evaluate_result import EvaluateResult
from .export import export
from .pretrain import pretrain
from .pretrain_config import PretrainConfig
from .pretraining import build_augmenter
from .report_page import refresh_page
from .run_source import run_source

LABELS_PER_CLASS = (1, 2, 5)
DRAWS = 20
_STRENGTH = 1.0  # fixed: one label per class leaves no data to choose it on


def pretrain_config(run_dir: str) -> PretrainConfig:
    """Pretraining settings of the quickstart, chosen on a validation part of the training digits."""
    return PretrainConfig(
        dataset="digits",
        run_dir=run_dir,
        encoder="simclr_resnet18",
        width_multiplier=0.25,
        small_image_stem=True,
        image_size=8,
        batch_size=256,
        steps=500,
        optimizer="adamw",
        learning_rate=4e-3,
        temperature=0.5,
        crop_area_min=0.6,
        color_jitter_strength=0.5,
        blur=False,
        flip=False,  # a mirrored digit is a different shape
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuickstartResult(EvaluateResult):
    """What `quickstart` measured, as `EvaluateResult`, and wrote.

    Attributes:
        few_labels: The rows of `compare_few_labels`.
        export: The folder of the exported version.
        picture: Pairs of views.
    """

    few_labels: list[dict[str, typing.Any]]
    export: pathlib.Path
    picture: pathlib.Path


@progress_shown()
@with_local_copies
def quickstart(config: QuickstartConfig) -> QuickstartResult:
    """Pretrains, evaluates and exports an encoder on the digits; draws pairs of views.

    Args:
        config: The settings.

    Returns:
        A `QuickstartResult`.

    Example:
        >>> import simclr_keras as sk
        >>> config = sk.QuickstartConfig(run_dir="runs/quick", output="saved_models/quick")
        >>> result = sk.quickstart(config)  # doctest: +SKIP

    Reference:
        Chen et al. 2020, https://arxiv.org/abs/2002.05709.
    """
    run_dir, output = config.run_dir, config.output
    pretraining = pretrain_config(run_dir)
    pretrain(pretraining)
    directory = RunDirectory(run_dir)
    measured = evaluate(EvaluateConfig(run_dir, compare=["random", "pixels"]))
    few_labels = compare_few_labels(directory)
    written = dataclasses.replace(measured, page=None).to_dict()
    write_json(directory.evaluation_file, {**written, "few_labels": few_labels})
    augmenter, source = build_augmenter(pretraining), run_source(pretraining, "train")
    picture = draw_views(source, augmenter, directory.report, pretraining.seed)["views"]
    version = folder_here(output, outline=True) / "1"
    if not version.exists():
        version = export(ExportConfig(run_dir, output=output)).path
    measured = dataclasses.replace(measured, page=refresh_page(directory))  # with few labels
    fields = {f.name: getattr(measured, f.name) for f in dataclasses.fields(measured)}
    return QuickstartResult(**fields, few_labels=few_labels, export=version, picture=picture)


def compare_few_labels(directory: RunDirectory) -> list[dict]:
    """Compares linear classifiers fitted with few labels on three representations.

    The representations are SimCLR features, features of the same encoder with random weights,
    and raw pixels. For 1, 2 and 5 labels per class, each classifier is fitted on the same labels
    drawn from the training part and measured on the test part.

    Args:
        directory: A finished run on a labelled dataset.

    Returns:
        A row for each number of labels: for each representation, mean and standard deviation of
        the accuracy over `DRAWS` draws, and the mean gain of SimCLR over pixels with its 95 %
        interval (Student's t over paired draws).
    """
    config = directory.read_config()
    encoder = directory.load_encoder()
    keras.utils.set_random_seed(seed_of_32_bits(config.seed))  # as `evaluate --compare-random`
    random_encoder = keras.models.clone_model(encoder)
    sources = [run_source(config, part, directory=directory) for part in ("train", "test")]
    batches = [evaluation_dataset(source, config.image_size, 256) for source in sources]
    train_labels, test_labels = (source.labels for source in sources)
    kinds = {
        "simclr": [extract_features(encoder, b)[0] for b in batches],
        "random_encoder": [extract_features(random_encoder, b)[0] for b in batches],
        "pixels": [
            to_unit_range(s.load(np.arange(len(s)))).numpy().reshape(len(s), -1)
            for s in sources
        ],
    }
    rows = []
    for per_class in LABELS_PER_CLASS:
        draws = [
            choose_labels(train_labels, labels_per_class=per_class, seed=seed)
            for seed in range(DRAWS)
        ]
        accuracies = {
            kind: np.array(
                [
                    LinearProbe(strengths=(_STRENGTH,), standardise=False)
                    .fit(train[drawn], train_labels[drawn])
                    .accuracy(test, test_labels)
                    for drawn in draws
                ]
            )
            for kind, (train, test) in kinds.items()
        }
        rows.append(
            {
                "labels_per_class": per_class,
                **{
                    kind: {"mean": float(a.mean()), "deviation": float(a.std(ddof=1))}
                    for kind, a in accuracies.items()
                },
                "gain_over_pixels": mean_difference(
                    accuracies["simclr"] - accuracies["pixels"]
                ).to_dict(),
            }
        )
    return rows
