"""Memory of kNN evaluation beyond the features, against scikit-learn's cosine classifier.

Each size runs in a separate process; its peak resident memory is compared with that before.

    python benchmarks/knn.py --training 200000 1000000 --queries 2000
"""

import argparse
import resource
import subprocess
import sys

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from simclr_keras.evaluation.knn import knn_accuracies

_CLASSES = 1000
_NEIGHBOURS = 200


def ours(train, labels, test, test_labels):
    knn_accuracies(train, labels, test, test_labels, k=(1, 20, _NEIGHBOURS))


def peer(train, labels, test, test_labels):
    KNeighborsClassifier(
        _NEIGHBOURS, weights=lambda d: np.exp((1 - d) / 0.1), metric="cosine", algorithm="brute"
    ).fit(train, labels).score(test, test_labels)


def measure(run, training: int, dimension: int, queries: int) -> None:
    draw = np.random.default_rng(0)
    train, test = (
        draw.standard_normal((n, dimension), np.float32) for n in (training, queries)
    )
    labels, test_labels = (draw.integers(0, _CLASSES, n) for n in (training, queries))
    run(train[:2000], labels[:2000], test[:100], test_labels[:100])  # one-time loading
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(train, labels, test, test_labels)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--measure", choices=("ours", "peer"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        run = {"ours": ours, "peer": peer}[options.measure]
        measure(run, options.training[0], options.dimension, options.queries)
        return
    print(f"{options.queries} queries, {options.dimension} dimensions, MB\n")
    print(f"{'training':>10}{'features':>10}{'ours':>8}{'sklearn':>9}")
    for training in options.training:
        extra = [
            subprocess.run(
                [sys.executable, __file__, "--measure", which, "--training", str(training)]
                + ["--dimension", str(options.dimension), "--queries", str(options.queries)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()[-1]
            for which in ("ours", "peer")
        ]
        features = training * options.dimension * 4 / 2**20
        cells = [f"{float(cell):.0f}" for cell in extra]
        print(f"{training:>10}{features:>10.0f}{cells[0]:>8}{cells[1]:>9}")


if __name__ == "__main__":
    main()
