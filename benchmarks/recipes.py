"""What a recipe reaches on CIFAR-10 in the same minutes: kNN and linear evaluation.

    TFDS_DATA_DIR=~/tensorflow_datasets python benchmarks/recipes.py --minutes 16

`small-images` and `small-cpu` are those presets. Each other recipe is one change of `small-images`;
`--set name=value` changes all of them.
Recipes are chosen on a validation part, a tenth of the labelled training images (pretraining sees
all training images, but no labels): kNN (k = 20) and linear evaluation (L-BFGS). `--test` measures on
the test images instead, once a recipe is chosen. Results, failures too, are in recipes.md.
"""

import argparse
import ast
import os
import pathlib
import statistics

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PRESETS = ("small-images", "small-cpu")
CHANGES = {
    **{preset: {} for preset in PRESETS},
    "bfloat16": dict(mixed_precision="bfloat16"),
    "decoupled": dict(loss="decoupled"),
    "views": dict(views=4, batch_size=128),
    # A rate belongs to its optimizer.
    "muon": dict(optimizer="muon", learning_rate=4e-3),
    "airbench": dict(encoder="airbench", width_multiplier=0.5, small_image_stem=False),
    "less-gray": dict(grayscale_probability=0.1),
}
_VALIDATION = 10  # every tenth training image


def measure(run: str, on_test: bool) -> tuple[float, float]:
    """(kNN, linear) accuracy of a run's encoder."""
    import numpy as np

    import simclr_keras as sk

    encoder = sk.load_encoder(run)
    parts = []
    for split in ("train", "test") if on_test else ("train",):
        images = sk.evaluation_dataset(sk.load_source("cifar10", split), 32, 500)
        parts.append(sk.extract_features(encoder, images))
    if on_test:
        train, test = parts
    else:
        features, labels = parts[0]
        is_validation = np.arange(len(labels)) % _VALIDATION == 0
        train = features[~is_validation], labels[~is_validation]
        test = features[is_validation], labels[is_validation]
    knn = sk.knn_accuracy(*train, *test, k=20, temperature=0.1)
    probe = sk.LinearProbe().fit(*train)
    return knn, float((probe.predict(test[0]) == test[1]).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="+", choices=CHANGES, default=PRESETS)
    parser.add_argument("--minutes", type=float, help="of pretraining")
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true", help="measure on the test images")
    parser.add_argument("--folder", default="runs/recipes")
    arguments = parser.parse_args()

    import simclr_keras as sk

    changed = {}
    for text in arguments.set:
        name, _, value = text.partition("=")
        try:
            changed[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            changed[name] = value
    length = {"minutes": arguments.minutes, "steps": arguments.steps}
    print("| recipe | seeds | steps | kNN | linear |\n|---|---|---|---|---|", flush=True)
    for recipe in arguments.recipes:
        found = []
        for seed in arguments.seeds:
            name = "-".join([recipe, *arguments.set, str(arguments.minutes), f"seed{seed}"])
            run = pathlib.Path(arguments.folder) / name.replace("/", "_")
            settings = {**CHANGES[recipe], **changed, **length, "seed": seed}
            config = sk.PretrainConfig.from_sources(
                recipe if recipe in PRESETS else PRESETS[0],
                dataset="cifar10",
                run_dir=str(run),
                **settings,
            )
            result = sk.pretrain(config)
            found.append((result.steps, *measure(str(run), arguments.test)))
        steps, knn, linear = (statistics.mean(column) for column in zip(*found))
        print(
            f"| {' '.join([recipe, *arguments.set])} | {len(found)} | {steps:.0f} | "
            f"{100 * knn:.1f} | {100 * linear:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
