"""What 100 labels are worth on CIFAR-10 when `select` chooses the images, and when chance does.

Every way chooses the same number of images from the same embeddings, once for each seed; a
logistic regression on their features (scaled by the statistics of all training features, the same
fixed strength for all) is measured on the test images. No label is used to choose.

    simclr-keras embed MODEL cifar10 --output train.npz
    simclr-keras embed MODEL cifar10 --split test --output test.npz
    python benchmarks/selection.py train.npz test.npz
"""

import argparse
import time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

import simclr_keras as sk
from simclr_keras.embeddings.file import read_vectors
from simclr_keras.embeddings.projection import principal_components
from simclr_keras.embeddings.typical import choose_typical
from simclr_keras.evaluation.nearest import nearest, unit_vectors


def at_random(vectors, count, seed):
    return np.random.default_rng(seed).choice(len(vectors), count, replace=False)


def typical(vectors, count, seed):
    free = np.ones(len(vectors), bool)
    return choose_typical(vectors, count, ~free, free, seed)


def typical_of_components(vectors, count, seed):
    return typical(unit_vectors(principal_components(vectors, seed)), count, seed)


def central(vectors, count, seed):
    """The image nearest to each centre of k-means."""
    centres = KMeans(count, n_init=1, random_state=seed).fit(vectors).cluster_centers_
    return np.unique(nearest(centres, vectors, 1)[0])


def k_center(vectors, count, seed):
    """Farthest first (Sener & Savarese 2018): the next image is the farthest from those chosen."""
    chosen = [int(np.random.default_rng(seed).integers(len(vectors)))]
    nearest_chosen = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        chosen.append(int(nearest_chosen.argmin()))
        nearest_chosen = np.maximum(nearest_chosen, vectors @ vectors[chosen[-1]])
    return np.array(chosen)


WAYS = {
    "at random": at_random,
    "typical (TypiClust)": typical,
    "typical, 50 components": typical_of_components,
    "nearest to k-means centres": central,
    "k-center": k_center,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train")
    parser.add_argument("test")
    parser.add_argument("--labels", type=int, nargs="+", default=[100])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", type=int, help="choose from so many images; default: all")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    threadpool_limits(1)  # threads that wait for each other take longer for few labels
    train, test = (read_vectors(path) for path in (options.train, options.test))
    labels, test_labels = (
        np.asarray(sk.load_source("cifar10", split, options.data_dir).labels)
        for split in ("train", "test")
    )
    assert (len(train), len(test)) == (len(labels), len(test_labels))
    pool = np.random.default_rng(0).permutation(len(train))[: options.pool]
    train, labels = train[pool], labels[pool]
    mean, deviation = train.mean(axis=0), train.std(axis=0) + 1e-6
    scaled, scaled_test = ((part - mean) / deviation for part in (train, test))
    vectors = unit_vectors(train)
    print(f"{len(train)} images to choose from; accuracy in %, mean +- deviation over seeds\n")
    print(
        f"{'labels':>7}  {'chosen':<28}{'accuracy':>15}{'classes':>9}{'rarest':>8}{'seconds':>9}"
    )
    for count in options.labels:
        for name, choose in WAYS.items():
            accuracies, classes, rarest, seconds = [], [], [], []
            for seed in range(options.seeds):
                began = time.process_time()
                chosen = choose(vectors, count, seed)
                seconds.append(time.process_time() - began)
                counts = np.bincount(labels[chosen], minlength=10)
                classes.append((counts > 0).sum())
                rarest.append(counts.min())
                probe = sk.LinearProbe(strengths=(0.01,), standardise=False)
                probe.fit(scaled[chosen], labels[chosen])
                accuracies.append(100 * probe.accuracy(scaled_test, test_labels))
            accuracy = f"{np.mean(accuracies):.1f} +- {np.std(accuracies, ddof=1):.1f}"
            print(
                f"{count:>7}  {name:<28}{accuracy:>15}{np.mean(classes):>9.1f}{np.mean(rarest):>8.1f}"
                f"{np.mean(seconds):>9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
