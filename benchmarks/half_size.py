"""Effect of half-size exports on kNN accuracy, disk space and request time.

Exports a run in float32, float16 and bfloat16, embeds the run's data with each, and measures
weighted kNN (k = 200, temperature 0.1) on the test part. Requests are interleaved.

    simclr-keras quickstart && python benchmarks/half_size.py runs/digits
    python benchmarks/half_size.py runs/cifar10 --train-images 10000
"""

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a finished run on labelled data")
    parser.add_argument("--data-dir", help="folder of TFDS data")
    parser.add_argument(
        "--train-images", type=int, help="number of training images to draw; default: all"
    )
    parser.add_argument("--requests", type=int, default=30)
    options = parser.parse_args()

    import numpy as np
    import tensorflow as tf

    from simclr_keras import knn_accuracy, load_exported, load_run_source
    from simclr_keras.data.datasets import evaluation_dataset
    from simclr_keras.runs.config import ExportConfig
    from simclr_keras.runs.directory import RunDirectory
    from simclr_keras.runs.export import export
    from simclr_keras.serving.graph import WEIGHTS_DTYPES

    config = RunDirectory(options.run).read_config()
    train, test = (
        load_run_source(options.run, part, data_dir=options.data_dir)
        for part in ("train", "test")
    )
    if options.train_images and options.train_images < len(train):
        chosen = np.random.default_rng(0).permutation(len(train))[: options.train_images]
        train = train.subset(np.sort(chosen))

    def embeddings(model, source):
        serve = model.signatures["serving_default"]
        batches = evaluation_dataset(source, config.image_size, 256)
        return np.concatenate([serve(images=images)["embedding"] for images, _ in batches])

    with tempfile.TemporaryDirectory() as folder:
        models, sizes = {}, {}
        for dtype in WEIGHTS_DTYPES:
            path = export(
                ExportConfig(
                    options.run, output=os.path.join(folder, dtype), weights_dtype=dtype
                )
            ).path
            sizes[dtype] = sum(p.stat().st_size for p in (path / "variables").iterdir()) / 1e6
            models[dtype] = load_exported(path)
        accuracy, cosine, reference = {}, {}, None
        for dtype, model in models.items():
            features = [embeddings(model, source) for source in (train, test)]
            accuracy[dtype] = knn_accuracy(features[0], train.labels, features[1], test.labels)
            unit = features[1] / np.linalg.norm(features[1], axis=1, keepdims=True)
            reference = unit if reference is None else reference
            cosine[dtype] = float((unit * reference).sum(axis=1).min())
        image = tf.fill([1, config.image_size, config.image_size, 3], 0.5)
        times = {dtype: [] for dtype in models}
        for _ in range(options.requests):
            for dtype, model in models.items():
                begin = time.perf_counter()
                model.signatures["serving_default"](images=image)["embedding"].numpy()
                times[dtype].append(time.perf_counter() - begin)
    print(
        f"{config.encoder}, {len(train)} training and {len(test)} test images of {config.dataset}\n"
    )
    print(
        f"{'weights':<10}{'MB':>8}{'kNN %':>9}{'points':>9}{'least cosine':>14}{'1 image, ms':>13}"
    )
    for dtype in models:
        points = 100 * (accuracy[dtype] - accuracy["float32"])
        print(
            f"{dtype:<10}{sizes[dtype]:>8.2f}{100 * accuracy[dtype]:>9.2f}{points:>+9.2f}"
            f"{cosine[dtype]:>14.6f}{1e3 * statistics.median(times[dtype]):>13.1f}"
        )


if __name__ == "__main__":
    main()
