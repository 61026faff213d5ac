"""What a recipe reaches on CIFAR-10 in the same minutes: kNN and linear evaluation.

    TFDS_DATA_DIR=~/tensorflow_datasets python benchmarks/recipes.py --minutes 16

`small-images` and `small-cpu` are those presets. Each other recipe is one change of `small-images`;
`--set name=value` changes all of them.
Recipes are chosen on a validation part, a tenth of the labelled training images (pretraining sees
all training images, but no labels): kNN (k = 20) and linear evaluation (L-BFGS). `--test` measures on
the test images instead, once a recipe is chosen. `--peer-python` adds lightly's SimCLR in PyTorch with
its own recipe for CIFAR-10, on a ResNet-18 of quarter width (peers/lightly_recipe.py); `--recipes`
without a name measures it alone.
Results, failures too, are in recipes.md.
"""

import argparse
import ast
import os
import pathlib
import statistics
import subprocess
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

PEER = pathlib.Path(__file__).parent / "peers" / "lightly_recipe.py"
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


def images(on_test: bool) -> list:
    """The training images, and the test images if these are to be measured."""
    import simclr_keras as sk

    return [sk.load_source("cifar10", split) for split in ("train", "test")[: 1 + on_test]]


def measure(features: list) -> tuple[float, float]:
    """(kNN, linear) accuracy.

    Args:
        features: (features, labels) of the training images, and of the test images if these count.
    """
    import numpy as np

    import simclr_keras as sk

    if len(features) == 2:
        train, measured = features
    else:
        found, labels = features[0]
        is_validation = np.arange(len(labels)) % _VALIDATION == 0
        train = found[~is_validation], labels[~is_validation]
        measured = found[is_validation], labels[is_validation]
    knn = sk.knn_accuracy(*train, *measured, k=20, temperature=0.1)
    probe = sk.LinearProbe().fit(*train)
    return knn, float((probe.predict(measured[0]) == measured[1]).mean())


def measure_run(run: str, on_test: bool) -> tuple[float, float]:
    """(kNN, linear) accuracy of a run's encoder."""
    import simclr_keras as sk

    encoder = sk.load_encoder(run)
    return measure(
        [
            sk.extract_features(encoder, sk.evaluation_dataset(part, 32, 500))
            for part in images(on_test)
        ]
    )


def measure_lightly(
    python: str, minutes: float, seed: int, on_test: bool
) -> tuple[int, float, float]:
    """(steps, kNN, linear) of lightly in the same minutes."""
    import numpy as np

    parts = images(on_test)
    with tempfile.TemporaryDirectory() as folder:
        given, found = os.path.join(folder, "images.npz"), os.path.join(folder, "features.npz")
        np.savez(given, train=parts[0].images, measured=parts[-1].images)
        length = ["--minutes", str(minutes), "--seed", str(seed)]
        subprocess.run([python, str(PEER), given, found, *length], check=True)
        result = np.load(found)
        features = [(result["train"], parts[0].labels)]
        if on_test:
            features.append((result["measured"], parts[1].labels))
        return int(result["steps"]), *measure(features)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="*", choices=CHANGES, default=PRESETS)
    parser.add_argument("--minutes", type=float, help="of pretraining")
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--test", action="store_true", help="measure on the test images")
    parser.add_argument("--folder", default="runs/recipes")
    parser.add_argument(
        "--peer-python", help="a Python with lightly and PyTorch; needs --minutes"
    )
    arguments = parser.parse_args()
    if arguments.peer_python and not arguments.minutes:
        parser.error("--peer-python needs --minutes")

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
            found.append((result.steps, *measure_run(str(run), arguments.test)))
        print_row(" ".join([recipe, *arguments.set]), found)
    if arguments.peer_python:
        found = [
            measure_lightly(arguments.peer_python, arguments.minutes, seed, arguments.test)
            for seed in arguments.seeds
        ]
        print_row("lightly", found)


def print_row(name: str, found: list[tuple]) -> None:
    """Prints the means of (steps, kNN, linear) over seeds, and how far the accuracies spread."""
    steps, *accuracies = zip(*found)
    cells = [name, str(len(found)), f"{statistics.mean(steps):.0f}"]
    for values in accuracies:
        spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{100 * statistics.mean(values):.1f}{spread}")
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
