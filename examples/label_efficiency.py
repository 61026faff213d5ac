"""How many labels are enough? A table of four methods over label fractions and draws.

    python examples/label_efficiency.py runs/cifar10 --fractions 0.01 0.1 1.0 --draws 3 --steps 400

Compares, on a finished run and its labelled data: the same network trained from scratch, a
linear classifier on frozen features, the fine-tuned network, and a student trained on the
fine-tuned network's predictions for all training images. All methods get the same label draws;
every network, students included, trains for the same number of steps at the same batch size.
Finished networks are not trained again, so you can stop and restart the script at any time. A
cell takes about as long as its training steps. Results of networks are also written to
RUN/results.json.
"""

import argparse
import functools
import json
import logging
import pathlib

import numpy as np

import simclr_keras as sk

METHODS = (
    "supervised from scratch",
    "linear on frozen",
    "fine-tuned",
    "fine-tuned + distilled",
)

parser = argparse.ArgumentParser()
parser.add_argument("run", help="a finished run directory")
parser.add_argument("--dataset", help="labelled data; default: the run's")
parser.add_argument("--data-dir")
parser.add_argument("--fractions", type=float, nargs="+", default=[0.01, 0.1, 1.0])
parser.add_argument("--per-class", type=int, nargs="+", help="labels per class, not fractions")
parser.add_argument("--draws", type=int, default=3, help="label draws, seeds 0, 1, ...")
parser.add_argument("--steps", type=int, default=400)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--optimizer", default="auto")
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--distill-learning-rate", type=float)
parser.add_argument("--student", default="pretrained", help="pretrained, teacher or an encoder")
parser.add_argument("--temperature", type=float, help="distillation temperature")
parser.add_argument("--validation-fraction", type=float, default=0.1)
arguments = parser.parse_args()
logging.basicConfig(level=logging.WARNING, format="%(message)s")

training = dict(
    run=arguments.run,
    dataset=arguments.dataset,
    data_dir=arguments.data_dir,
    steps=arguments.steps,
    batch_size=arguments.batch_size,
    optimizer=arguments.optimizer,
)
if arguments.per_class:
    choices = {f"{n} per class": {"labels_per_class": n} for n in arguments.per_class}
else:
    choices = {f"{100 * f:g} %": {"label_fraction": f} for f in arguments.fractions}


def fine_tune_config(choice: dict, seed: int, from_scratch: bool) -> sk.FineTuneConfig:
    return sk.FineTuneConfig(
        **training,
        **choice,
        seed=seed,
        from_scratch=from_scratch,
        learning_rate=arguments.learning_rate,
        validation_fraction=arguments.validation_fraction,
    )


@functools.cache
def frozen_features() -> list[tuple[np.ndarray, np.ndarray]]:
    """Features and labels of the training part and the test part, extracted once."""
    run = json.loads(pathlib.Path(arguments.run, "config.json").read_text())
    encoder = sk.load_encoder(arguments.run)
    found = []
    for part in ("train", "test"):
        source = sk.load_run_source(arguments.run, part, arguments.dataset, arguments.data_dir)
        batches = sk.evaluation_dataset(source, run["image_size"], 256)
        found.append(sk.extract_features(encoder, batches))
    return found


def linear(choice: dict, seed: int) -> float:
    """Accuracy of L-BFGS on frozen features; its strength is chosen on part of the labels."""
    (features, labels), test = frozen_features()
    chosen = sk.choose_labels(labels, **choice, seed=seed)
    probe = sk.LinearProbe(seed=seed).fit(features[chosen], labels[chosen])
    return probe.accuracy(*test)


warnings = set()


def measure(method: str, choice: dict, seed: int) -> float:
    if method == "linear on frozen":
        return linear(choice, seed)
    config = fine_tune_config(choice, seed, method == "supervised from scratch")
    if method == "fine-tuned + distilled":
        config = sk.DistillConfig(
            **training,
            teacher=config.folder.split("/")[1],
            student=arguments.student,
            seed=seed,
            learning_rate=arguments.distill_learning_rate,
            temperature=arguments.temperature,
        )
        result = sk.distill_run(config)
    else:
        result = sk.fine_tune_run(config)
    warnings.add(result.warning)
    return result.test_accuracy


rows = {method: [] for method in METHODS}
for label, choice in choices.items():
    for method in METHODS:
        found = [measure(method, choice, seed) for seed in range(arguments.draws)]
        spread = np.std(found, ddof=1) if len(found) > 1 else 0.0
        rows[method].append(f"{100 * np.mean(found):.1f} ± {100 * spread:.1f}")
        each = ", ".join(f"{100 * accuracy:.1f}" for accuracy in found)
        print(f"{label:>14}  {method:<24} {each}", flush=True)

print("\n| labels | " + " | ".join(choices) + " |")
print("|---|" + "---|" * len(choices))
for method, cells in rows.items():
    print(f"| {method} | " + " | ".join(cells) + " |")
print(
    f"\nTest accuracy in %, mean ± standard deviation over {arguments.draws} label draws; networks: "
    f"{arguments.steps} steps of {arguments.batch_size} images, students as many again."
)
print(*filter(None, warnings), sep="\n")
