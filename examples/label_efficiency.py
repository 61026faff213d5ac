"""How many labels are enough? A table of four methods over label fractions and draws.

    python examples/label_efficiency.py runs/cifar10 --fractions 0.01 0.1 1.0 --draws 3 --steps 400

Compares, on a finished run and its labelled data: the same network trained from scratch, a
linear classifier on frozen features, the fine-tuned network, and a student trained on the
fine-tuned network's predictions for all training images. All methods get the same label draws;
every network, students included, trains for the same number of steps at the same batch size.
Finished classifiers are not trained again, so you can stop and restart the script at any time. A
cell takes about as long as its training steps. Results are also written to RUN/results.json.
"""

import argparse
import logging

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

data = dict(run=arguments.run, dataset=arguments.dataset, data_dir=arguments.data_dir)
training = dict(
    steps=arguments.steps,
    batch_size=arguments.batch_size,
    optimizer=arguments.optimizer,
)
if arguments.per_class:
    choices = {f"{n} per class": {"labels_per_class": n} for n in arguments.per_class}
else:
    choices = {f"{100 * f:g} %": {"label_fraction": f} for f in arguments.fractions}


def fine_tune_config(method: str, choice: dict, seed: int) -> sk.FineTuneConfig:
    if method == "linear on frozen":
        return sk.FineTuneConfig(**data, **choice, seed=seed, frozen=True)
    return sk.FineTuneConfig(
        **data,
        **training,
        **choice,
        seed=seed,
        from_scratch=method == "supervised from scratch",
        learning_rate=arguments.learning_rate,
        validation_fraction=arguments.validation_fraction,
    )


warnings = set()


def measure(method: str, choice: dict, seed: int) -> float:
    config = fine_tune_config(method, choice, seed)
    if method == "fine-tuned + distilled":
        config = sk.DistillConfig(
            **data,
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
