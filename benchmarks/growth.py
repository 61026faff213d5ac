"""How the cost of a training step grows: with views, with image size, with replicas.

    python benchmarks/growth.py
    python benchmarks/growth.py --only views

A SimCLR ResNet-18 of quarter width (for 32 pixels with the small-image stem), AdamW, images in
memory. Each row runs in a process of its own; speed is the median over the steps after the first,
which is traced; memory is the peak resident size beyond that before the first step. The growth with
the batch is in nt_xent.py (`--growth`, the loss) and micro_batches.py.

- views: 2 to 8 views of 32 pixels, as many views in each step (512).
- size: 32 to 224 pixels, two views of 32 images.
- replicas: 1 to 4 replicas, which share the cores, on the same global batch of 256 images.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

from micro_batches import megabytes

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# table -> rows: (row, settings of `measure`)
TABLES = {
    "views": [(views, {"views": views, "batch": 512 // views}) for views in (2, 4, 8)],
    "size": [(size, {"size": size, "batch": 32}) for size in (32, 64, 96, 128, 160, 224)],
    "replicas": [(count, {"replicas": count}) for count in (1, 2, 4)],
}
_WARM = 2


def measure(steps: int, views: int = 2, size: int = 32, batch: int = 256, replicas: int = 1):
    """(seconds of each step, MB)."""
    import keras
    import numpy as np
    import tensorflow as tf
    from timed_fit import seconds_of_steps

    import simclr_keras as sk

    if replicas > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        devices = [tf.config.LogicalDeviceConfiguration()] * replicas
        tf.config.set_logical_device_configuration(cpu, devices)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{k}" for k in range(replicas)])
    else:
        strategy = tf.distribute.get_strategy()
    keras.utils.set_random_seed(0)
    with strategy.scope():
        encoder = sk.build_encoder(
            "simclr_resnet18", size, width_multiplier=0.25, small_image_stem=size <= 32
        )
        augmenter = sk.SimCLRAugmenter(size, 0.5, blur=False, views=views)
        model = sk.SimCLR(encoder, sk.ProjectionHead(128), augmenter, temperature=0.2)
        model.compile(keras.optimizers.AdamW(1e-3))
    shape = (batch * (steps + _WARM), size, size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    before = megabytes("VmRSS")
    seconds = seconds_of_steps(model, images, _WARM, batch_size=batch)
    return seconds, megabytes("VmHWM") - before


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.steps, **json.loads(arguments.measure))))
        return
    for table in arguments.only:
        print(
            f"\n| {table} | s per step | views/s | of the first row | MB |\n|---|---|---|---|---|"
        )
        first = None
        for row, settings in TABLES[table]:
            command = [sys.executable, __file__, "--steps", str(arguments.steps)]
            output = subprocess.run(
                [*command, "--measure", json.dumps(settings)],
                check=True,
                text=True,
                stdout=subprocess.PIPE,
            ).stdout
            seconds, memory = json.loads(output.splitlines()[-1])
            step = statistics.median(seconds)
            rate = settings.get("views", 2) * settings.get("batch", 256) / step
            first = first or rate
            print(
                f"| {row} | {step:.2f} | {rate:.0f} | {rate / first:.2f} | {memory:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
