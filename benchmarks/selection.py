"""What a few labels are worth when `select` chooses the images, and when chance does.

Every way chooses the same number of images from the same embeddings, once for each seed; a
logistic regression on their features (scaled by the statistics of all training features, the same
fixed strength for all) is measured on the test images. No label is used to choose.

    simclr-keras embed MODEL cifar10 --output train.npz
    simclr-keras embed MODEL cifar10 --split test --output test.npz
    python benchmarks/selection.py train.npz test.npz

Of a folder with a sub-folder for each class, a fifth is the test part, another for each seed:

    simclr-keras embed MODEL photos/ --output photos.npz
    python benchmarks/selection.py photos.npz --seeds 10
"""

import argparse
import time

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

import simclr_keras as sk
from simclr_keras.embeddings.file import read_info, read_vectors
from simclr_keras.embeddings.projection import principal_components
from simclr_keras.embeddings.representative import choose_representative
from simclr_keras.evaluation.nearest import nearest, unit_vectors


def at_random(vectors, count, seed):
    return np.random.default_rng(seed).choice(len(vectors), count, replace=False)


def representative(vectors, count, seed):
    """As `select` chooses."""
    free = np.ones(len(vectors), bool)
    return choose_representative(vectors, count, ~free, free, seed)


def central(vectors, count, seed):
    """The image nearest to each centre of k-means on the features themselves."""
    centres = KMeans(count, n_init=1, random_state=seed).fit(vectors).cluster_centers_
    return np.unique(nearest(centres, vectors, 1)[0])


def typical(vectors, count, seed):
    """TypiClust (Hacohen et al. 2022): of each cluster, the image whose 20 nearest are nearest."""
    cluster = KMeans(count, n_init=1, random_state=seed).fit(vectors).labels_
    chosen = []
    for members in (np.flatnonzero(cluster == number) for number in np.unique(cluster)):
        cosines = nearest(vectors[members], vectors[members], 21)[1][:, 1:]
        distances = np.sqrt(np.maximum(2 - 2 * cosines, 0)).mean(axis=1)
        chosen.append(members[distances.argmin()] if len(members) > 1 else members[0])
    return np.array(chosen)


def typical_of_components(vectors, count, seed):
    return typical(unit_vectors(principal_components(vectors, seed)), count, seed)


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
    "select": representative,
    "nearest to k-means centres": central,
    "typical (TypiClust)": typical,
    "typical, 50 components": typical_of_components,
    "k-center": k_center,
}


def read_cifar10(train: str, test: str, data_dir: str | None) -> list:
    """[(features, labels) of the training images, of the test images]."""
    parts = []
    for path, split in ((train, "train"), (test, "test")):
        vectors = np.asarray(read_vectors(path))
        labels = np.asarray(sk.load_source("cifar10", split, data_dir).labels)
        assert len(vectors) == len(labels)
        parts.append((vectors, labels))
    return parts


def divide_folder(path: str, seed: int) -> list:
    """As `read_cifar10`, of a folder of class folders: a fifth is for testing."""
    vectors, names = np.asarray(read_vectors(path)), read_info(path).paths
    labels = np.unique([name.split("/")[0] for name in names], return_inverse=True)[1]
    places = np.random.default_rng(seed).permutation(len(vectors))
    test, train = np.split(places, [len(vectors) // 5])
    return [(vectors[part], labels[part]) for part in (train, test)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", help="embeddings of cifar10, or of a folder of class folders")
    parser.add_argument("test", nargs="?", help="embeddings of cifar10's test images")
    parser.add_argument("--labels", type=int, nargs="+", default=[20, 100, 500])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    threadpool_limits(1)  # threads that wait for each other take longer for few labels
    if options.test:
        divided = [read_cifar10(options.train, options.test, options.data_dir)] * options.seeds
    else:
        divided = [divide_folder(options.train, seed) for seed in range(options.seeds)]
    print(f"{len(divided[0][0][0])} images to choose from; accuracy in %, mean +- deviation\n")
    print(
        f"{'labels':>7}  {'chosen':<28}{'accuracy':>15}{'classes':>9}{'rarest':>8}{'seconds':>9}"
    )
    for count in options.labels:
        for name in options.ways:
            rows = [
                measure(*parts, WAYS[name], count, seed) for seed, parts in enumerate(divided)
            ]
            accuracies, classes, rarest, seconds = np.array(rows).T
            accuracy = f"{accuracies.mean():.1f} +- {np.std(accuracies, ddof=1):.1f}"
            print(
                f"{count:>7}  {name:<28}{accuracy:>15}{classes.mean():>9.1f}{rarest.mean():>8.1f}"
                f"{seconds.mean():>9.1f}",
                flush=True,
            )


def measure(train: tuple, test: tuple, choose, count: int, seed: int) -> tuple:
    """(accuracy in %, classes that have a label, labels of the rarest, seconds to choose)."""
    (vectors, labels), (test_vectors, test_labels) = train, test
    began = time.process_time()
    chosen = choose(unit_vectors(vectors), count, seed)
    seconds = time.process_time() - began
    counts = np.bincount(labels[chosen], minlength=labels.max() + 1)
    mean, deviation = vectors.mean(axis=0), vectors.std(axis=0) + 1e-6
    probe = sk.LinearProbe(strengths=(0.01,), standardise=False)
    probe.fit((vectors[chosen] - mean) / deviation, labels[chosen])
    accuracy = 100 * probe.accuracy((test_vectors - mean) / deviation, test_labels)
    return accuracy, (counts > 0).sum(), counts.min(), seconds


if __name__ == "__main__":
    main()
