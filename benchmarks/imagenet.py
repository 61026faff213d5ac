"""A simulated imagenet2012 from the command line: times and memory of a run, its resume, and fine-tuning.

Writes a prepared TFDS dataset with ImageNet's features, splits and shards (1,281,167 tiny JPEGs in
1,024 TFRecords, 50,000 in 64) that claims ImageNet's size, so that nothing is kept in memory. Then calls,
each in a process of its own,

- `pretrain --dataset imagenet2012 --steps 20`, without and with a kept index;
- the same in two parts: stopped by SIGTERM after its first checkpoint, and called again. Its weights
  must be those of the first;
- `fine-tune --label-fraction 0.01`, measured on the validation split.

Peak memory is compared with that of a dataset of 20,000 images.

    python benchmarks/imagenet.py --folder /disk/for/made/data
    python benchmarks/imagenet.py --train 2000 --validation 100 --shards 8 2
"""

import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import made_images

CLASSES, FEW = 1000, 20_000
NETWORK = (
    "--encoder simclr_resnet18 --width-multiplier 0.125 --small-image-stem --image-size 16 "
    "--optimizer sgd --learning-rate 0.01"
).split()


def write(
    data_dir: pathlib.Path, train: int, validation: int, shards: tuple[int, int] = (1024, 64)
) -> None:
    """Writes the dataset; of fewer images than shards, fewer shards."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("imagenet2012", data_dir=str(data_dir))
    parts = {
        split: (made_images.Images(count, min(CLASSES, count)), min(number, count))
        for split, count, number in zip(("train", "validation"), (train, validation), shards)
    }
    made_images.write_tfds(
        pathlib.Path(builder.data_dir), builder.info.features, "tfrecord", **parts
    )


def call(cache: pathlib.Path, *arguments: str, stop_at: pathlib.Path | None = None):
    """Calls the command line; returns its seconds, its peak memory in bytes, and what it said.

    Args:
        cache: The folder of indexes.
        *arguments: Of the command line.
        stop_at: A file; once it exists, the command is sent SIGTERM.
    """
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "simclr_keras", *arguments],
            env={**os.environ, "SIMCLR_KERAS_CACHE": str(cache)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            try:
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                peak = max(peak, 1024 * int(status.split("VmHWM:")[1].split()[0]))
            except (OSError, IndexError):  # it has just ended
                continue
            if stop_at is not None and stop_at.exists():
                process.send_signal(signal.SIGTERM)
                stop_at = None
            time.sleep(0.02)
        output.seek(0)
        text = output.read()
    seconds = time.perf_counter() - began
    if process.returncode not in (0, 128 + signal.SIGTERM):
        sys.exit(f"{' '.join(arguments)} ended with {process.returncode}:\n{text[-2000:]}")
    return seconds, peak, text


def same_weights(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Whether two runs ended with the same weights, bit by bit."""
    import numpy as np

    from simclr_keras.runs.directory import RunDirectory

    weights = [RunDirectory(run).load_encoder().get_weights() for run in (one, other)]
    return all(np.array_equal(a, b) for a, b in zip(*weights, strict=True))


def measure(work: pathlib.Path, options) -> None:
    began, few = time.perf_counter(), min(FEW, options.train // 2)
    write(work / "tfds", options.train, options.validation, tuple(options.shards))
    seconds = time.perf_counter() - began
    write(work / "few", few, options.validation, tuple(options.shards))
    print(
        f"{options.train:,} images in {options.shards[0]:,} shards; written in {seconds:.0f} s\n"
    )
    print("| command | s | peak memory, MB | bytes for each image beyond few |")
    print("|---|---:|---:|---:|")
    lengths = ["--steps", "20", "--checkpoint-every", "5"]

    def measured(
        command: str, name: str, *arguments: str, few_too: bool = True, **stop
    ) -> None:
        peaks = {}
        for data in ("few", "tfds") if few_too else ("tfds",):
            run = work / f"{data}-{name}"
            asked = [part.format(run=run, data=work / data) for part in arguments]
            seconds, peaks[data], _ = call(work / "cache", *asked, **stop)
        growth = ""
        if few_too:
            growth = f"{(peaks['tfds'] - peaks['few']) / (options.train - few):.0f}"
        print(
            f"| {command} | {seconds:.0f} | {peaks['tfds'] / 1e6:,.0f} | {growth} |", flush=True
        )

    pretrain = ["pretrain", "--dataset", "imagenet2012", "--data-dir", "{data}"]
    pretrain += [
        "--run-dir",
        "{run}",
        *NETWORK,
        "--batch-size",
        str(options.batch_size),
        *lengths,
    ]
    tune = ["fine-tune", "{run}", "--label-fraction", "0.01", "--steps", "20"]
    measured("pretrain, no index", "whole", *pretrain)
    measured("pretrain, with it", "again", *pretrain)
    checkpoint = work / "tfds-parts" / "checkpoints" / "ckpt-5.index"
    measured("pretrain, stopped", "parts", *pretrain, few_too=False, stop_at=checkpoint)
    measured("pretrain, resumed", "parts", *pretrain, few_too=False)
    measured("fine-tune, 1 % of labels", "whole", *tune)
    same = same_weights(work / "tfds-whole", work / "tfds-parts")
    print(
        f"\nThe weights of the resumed run are {'those' if same else 'NOT those'} of the first."
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=1_281_167)
    parser.add_argument("--validation", type=int, default=50_000)
    parser.add_argument("--shards", type=int, nargs=2, default=(1024, 64))
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--folder", help="for the made data; default: a temporary one")
    options = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="simclr_keras_imagenet_", dir=options.folder))
    try:
        measure(work, options)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
