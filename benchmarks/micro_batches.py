"""Memory and time of a training step, in micro-batches and as a whole batch.

    python benchmarks/micro_batches.py

Trains a SimCLR ResNet-18 of half width with group norm on 1024 images of 64 px. Each size runs
in a separate process; memory is the peak resident size beyond that before the first step.
"""

import argparse
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def megabytes(kind: str) -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def measure(arguments) -> None:
    import keras
    import numpy as np

    import simclr_keras as sk
    from simclr_keras.networks.normalization import replace_batch_norm

    keras.utils.set_random_seed(0)
    encoder = sk.build_encoder(
        "simclr_resnet18", arguments.image_size, width_multiplier=arguments.width_multiplier
    )
    model = sk.SimCLR(
        replace_batch_norm(encoder, "group"),
        sk.ProjectionHead(128, normalization="group"),
        sk.SimCLRAugmenter(arguments.image_size, blur=False),
        micro_batch_size=arguments.measure or None,
    )
    model.compile(sk.LARS(0.1))
    side = arguments.image_size
    shape = (arguments.batch_size, side, side, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    before, seconds = megabytes("VmRSS"), []
    for _ in range(arguments.steps + 1):  # the first step traces
        began = time.perf_counter()
        loss = float(model.train_on_batch(images, return_dict=True)["loss"])
        seconds.append(time.perf_counter() - began)
    print(min(seconds[1:]), megabytes("VmHWM") - before, loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--width-multiplier", type=float, default=0.5)
    parser.add_argument("--micro-batch-sizes", type=int, nargs="+", default=[0, 256, 64])
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        return measure(arguments)
    print(f"{'micro-batch':>12}{'seconds':>9}{'MB':>8}  loss of step {arguments.steps + 1}")
    for size in arguments.micro_batch_sizes:
        command = [sys.executable, __file__, *sys.argv[1:], "--measure", str(size)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{size or 'whole':>12}  failed: {done.stderr.splitlines()[-1:]}")
            continue
        seconds, used, loss = done.stdout.split()[-3:]
        row = (
            f"{size or 'whole':>12}{float(seconds):>9.1f}{float(used):>8.0f}  {float(loss):.5f}"
        )
        print(row, flush=True)


if __name__ == "__main__":
    main()
