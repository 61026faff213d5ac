"""Initial weights of the projection head: Glorot uniform (ours) or N(0, 0.01) (the release).

    python benchmarks/head_initialisation.py
    python benchmarks/head_initialisation.py --seeds 10

Repeats the quickstart's run on the handwritten digits with several seeds; both variants see the
same images, views and initial encoder. Prints the last loss, the accuracy of kNN and of a
linear classifier on all labels, and the mean accuracy over 20 draws of 1, 2 and 5 labels per
class.
"""

import argparse
import dataclasses
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import simclr_keras as sk
from simclr_keras.runs.config import EvaluateConfig
from simclr_keras.runs.directory import RunDirectory
from simclr_keras.runs.evaluate import evaluate
from simclr_keras.runs.quickstart import compare_few_labels, pretrain_config

COLUMNS = ("loss", "kNN", "linear", "1 label", "2 labels", "5 labels")
GLOROT = sk.ProjectionHead.build


def small_normal(seed: int):
    """`ProjectionHead.build` with the release's initialisation: every kernel N(0, 0.01)."""

    def build(self, input_shape):
        GLOROT(self, input_shape)
        draw = np.random.default_rng(seed + 1)
        for dense in self.dense_layers:
            dense.kernel.assign(draw.normal(0, 0.01, dense.kernel.shape).astype("float32"))

    return build


def measure(seed: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(pretrain_config(f"{folder}/run"), seed=seed)
        loss = sk.pretrain(config).loss
        found = evaluate(EvaluateConfig(config.run_dir))
        few = [
            row["simclr"]["mean"] for row in compare_few_labels(RunDirectory(config.run_dir))
        ]
        return [loss, found.knn_accuracy, found.linear_accuracy, *few]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    rows = {"Glorot": [], "N(0, 0.01)": []}
    for seed in range(parser.parse_args().seeds):
        for name, build in (("Glorot", GLOROT), ("N(0, 0.01)", small_normal(seed))):
            sk.ProjectionHead.build = build
            rows[name].append(measure(seed))
            print(seed, name, np.round(rows[name][-1], 4).tolist(), flush=True)
    print(" " * 12 + "".join(f"{column:>10}" for column in COLUMNS))
    for name, measured in rows.items():
        print(f"{name:<12}" + "".join(f"{mean:10.4f}" for mean in np.mean(measured, axis=0)))


if __name__ == "__main__":
    main()
