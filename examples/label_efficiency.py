"""How many labels does it take? A table of four methods over shares of the labels and draws.

    python examples/label_efficiency.py runs/cifar10 --fractions 0.01 0.1 1.0 --draws 3 --steps 400

Shows, on a finished run and its labelled data: the same network trained from scratch, a linear
classifier on frozen features, the fine-tuned network, and a student of the fine-tuned network that
learned from its predictions on all training images. All methods get the same draw of labels; each
training of a network gets the same number of steps of the same batch size, the student the same
again. What is finished is not repeated: stop it and start it as you like. A cell takes about as
long as its steps. Figures go into RUN/results.json.
"""

import argparse
import functools
import json
import logging

import numpy as np

import simclr_keras as sk
from simclr_keras.data.datasets import evaluation_dataset
from simclr_keras.runs.classifier_config import DistillConfig, FineTuneConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.distill import distill_run
from simclr_keras.runs.fine_tune import fine_tune_run
from simclr_keras.runs.labelled_data import chosen_labels, test_part, training_part
from simclr_keras.runs.results import record_result

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
parser.add_argument("--student", default="pretrained", help="or teacher, or an encoder")
parser.add_argument("--temperature", type=float, help="of the distillation")
parser.add_argument("--validation-fraction", type=float, default=0.1)
arguments = parser.parse_args()
logging.basicConfig(level=logging.WARNING, format="%(message)s")

directory = RunDirectory(arguments.run)
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


def fine_tune_config(choice: dict, seed: int, from_scratch: bool) -> FineTuneConfig:
    return FineTuneConfig(
        **training,
        **choice,
        seed=seed,
        from_scratch=from_scratch,
        learning_rate=arguments.learning_rate,
        validation_fraction=arguments.validation_fraction,
    )


def linear(choice: dict, seed: int) -> float:
    """L-BFGS on frozen features, its strength chosen on a part of the drawn labels."""
    config = fine_tune_config(choice, seed, False)
    asked = {"dataset": config.dataset, **choice, "seed": seed}
    file = directory.results_file
    for entry in json.loads(file.read_text()) if file.exists() else []:
        if entry["measured"] == "linear" and asked.items() <= entry["result"].items():
            return entry["result"]["test_accuracy"]
    train, (x, y), held_out = frozen_features()
    chosen = chosen_labels(config, train).indices
    accuracy = sk.LinearProbe(seed=seed).fit(x[chosen], y[chosen]).accuracy(*held_out)
    record_result(directory, "linear", {**asked, "test_accuracy": accuracy})
    return accuracy


@functools.cache
def frozen_features():
    """The training part, and features and labels of both parts, extracted once."""
    config, pretraining = FineTuneConfig(**training), directory.read_config()
    train = training_part(config, pretraining)
    encoder, size = directory.load_encoder(), pretraining.image_size
    sources = (train, test_part(config, pretraining, train.class_names))
    return train, *(
        sk.extract_features(encoder, evaluation_dataset(s, size, 256)) for s in sources
    )


def measure(method: str, choice: dict, seed: int) -> float:
    if method == "linear on frozen":
        return linear(choice, seed)
    config = fine_tune_config(choice, seed, method == "supervised from scratch")
    if method == "fine-tuned + distilled":
        config = DistillConfig(
            **training,
            teacher=config.folder.split("/")[1],
            student=arguments.student,
            seed=seed,
            learning_rate=arguments.distill_learning_rate,
            temperature=arguments.temperature,
        )
        return distill_run(config)["test_accuracy"]
    return fine_tune_run(config)["test_accuracy"]


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
    f"\nTest accuracy in %, mean ± deviation over {arguments.draws} draws of the labels; networks: "
    f"{arguments.steps} steps of {arguments.batch_size}, students as many again."
)
