"""Exact search among a million vectors, against scikit-learn's brute force.

Both search the same unit vectors. Runs are interleaved, times are medians, and the neighbours
are compared. Ours can also read the `.npz` or `.parquet` file in blocks; the last column is its
time including reading.

    python benchmarks/search.py --vectors 1000000 --dimension 128
"""

import argparse
import pathlib
import statistics
import tempfile
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

from simclr_keras.embeddings.file import read_blocks, write_embeddings
from simclr_keras.evaluation.nearest import nearest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    shape = (options.vectors, options.dimension)
    vectors = draw.standard_normal(shape, np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    peer = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(vectors)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "e.parquet")
        with write_embeddings(file, "", "") as rows:
            for start in range(0, len(vectors), 65_536):
                part = vectors[start : start + 65_536]
                rows.add([str(i) for i in range(start, start + len(part))], part)
        print(
            f"{options.vectors} vectors of {options.dimension} numbers, 10 neighbours, seconds\n"
        )
        print(f"{'queries':>8}{'nearest':>10}{'sklearn':>10}{'ratio':>8}{'from .parquet':>15}")
        for count in (1, 10, 100):
            queries = draw.standard_normal((count, options.dimension), np.float32)
            queries /= np.linalg.norm(queries, axis=1, keepdims=True)
            runs = {
                "ours": lambda queries=queries: nearest(queries, vectors)[0],
                "peer": lambda queries=queries: peer.kneighbors(queries)[1],
                "file": lambda queries=queries: nearest(queries, read_blocks(file))[0],
            }
            times, found = {name: [] for name in runs}, {}
            for _ in range(options.repeats):
                for name, run in runs.items():
                    begin = time.perf_counter()
                    found[name] = run()
                    times[name].append(time.perf_counter() - begin)
            agree = (found["ours"] == found["peer"]).mean()
            assert agree > 0.99 and (found["ours"] == found["file"]).all(), agree
            ratio = statistics.median(o / p for o, p in zip(times["ours"], times["peer"]))
            ours, theirs, read = (statistics.median(times[n]) for n in ("ours", "peer", "file"))
            print(
                f"{count:>8}{ours:>10.2f}{theirs:>10.2f}{ratio:>8.2f}{read:>15.2f}", flush=True
            )


if __name__ == "__main__":
    main()
