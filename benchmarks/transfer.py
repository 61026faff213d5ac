"""What the start of a run is worth on other images: the reference model, ImageNet's, or nothing.

    python benchmarks/transfer.py --dataset photos/ --minutes 5

Each start is measured as it is, and after pretraining on the images for the same minutes: kNN and
linear evaluation on the images that the runs hold out, the same for all. `--imagenet ENCODER` adds an
encoder of keras.applications, if its weights are on this machine or can be downloaded.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = pathlib.Path(__file__).parent.parent
REFERENCE = ROOT / "saved_models" / "cifar10-airbench"


def starts(arguments) -> dict[str, dict]:
    """name -> settings of the networks."""
    found = {
        "random weights": dict(encoder="airbench", width_multiplier=0.5),
        "reference model": dict(weights=arguments.model),
    }
    if arguments.imagenet:
        found["ImageNet, with labels"] = dict(encoder=arguments.imagenet, weights="imagenet")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--model", default=str(REFERENCE))
    parser.add_argument("--imagenet", metavar="ENCODER")
    parser.add_argument("--folder", default="runs/transfer")
    arguments = parser.parse_args()

    import simclr_keras as sk

    print(
        "| start | pretraining here | steps | kNN | linear |\n|---|---|---|---|---|", flush=True
    )
    for name, settings in starts(arguments).items():
        has_weights = "weights" in settings
        for length in (dict(steps=0), dict(minutes=arguments.minutes))[not has_weights :]:
            trained = f"{arguments.minutes:g} minutes" if "minutes" in length else "none"
            run = pathlib.Path(arguments.folder) / f"{name} {trained}".replace(" ", "-")
            config = sk.PretrainConfig.from_sources(
                "small-cpu",
                dataset=arguments.dataset,
                run_dir=str(run),
                **{"image_size": arguments.image_size, **settings, **length},
            )
            steps = sk.pretrain(config).steps
            found = sk.evaluate(sk.EvaluateConfig(str(run), compare_random=not has_weights))
            if found.random_encoder is not None:
                print_row(name, "none", 0, found.random_encoder)
            print_row(name, trained, steps, found)


def print_row(name: str, trained: str, steps: int, found) -> None:
    print(
        f"| {name} | {trained} | {steps} | {100 * found.knn_accuracy:.1f} | "
        f"{100 * found.linear_accuracy:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
