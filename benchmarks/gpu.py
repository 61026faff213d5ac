"""Speed, memory and accuracy on GPUs, in one results file; see gpu.sh.

    step      images/s of `fit` on ready images: ResNet-50, views of 224 px, in float32 and bfloat16,
              with and without XLA
    input     images/s of the input pipeline alone: two crops of 224 px cut from JPEGs of 500 x 375
    replicas  the largest difference of weights after three steps on one and on all GPUs
    batch     the largest batch that fits, with and without micro-batches
    cifar10   100 epochs of the preset `cifar10`: kNN and linear evaluation

Each measurement runs in its own process: one that runs out of memory ends alone.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from timed_fit import seconds_of_steps

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
FULL = dict(
    encoder="resnet50",
    options={},
    size=224,
    batch=256,
    micro_batch=64,
    steps=20,
    jpegs=1024,
    side=(500, 375),
    largest=65536,
    steps_of=[("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)],
    pretrain=dict(preset="cifar10", epochs=100),
)
TOY = dict(
    encoder="simclr_resnet18",
    options=dict(width_multiplier=0.125, small_image_stem=True),
    size=16,
    batch=8,
    micro_batch=4,
    steps=2,
    jpegs=16,
    side=(50, 40),
    largest=8,
    steps_of=[("float32", False), ("bfloat16", True)],
    pretrain=dict(
        preset="small-images",
        dataset="digits",
        image_size=8,
        width_multiplier=0.125,
        batch_size=32,
        steps=4,
    ),
)
_WARM = 3


def devices(is_toy: bool) -> list[str]:
    """Names of the devices to use; two logical CPU devices for a toy."""
    import tensorflow as tf

    if is_toy:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
        return ["CPU:0", "CPU:1"]
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def model_of(sizes: dict, micro_batch: int | None = None, jit_compile: bool = False):
    import keras

    import simclr_keras as sk

    keras.utils.set_random_seed(0)
    encoder = sk.build_encoder(
        sizes["encoder"], sizes["size"], log_changes=False, **sizes["options"]
    )
    model = sk.SimCLR(encoder, image_size=sizes["size"], micro_batch_size=micro_batch)
    model.compile(sk.LARS(0.1, weight_decay=1e-6), jit_compile=jit_compile)
    return model


def images_of(sizes: dict, count: int):
    import numpy as np

    side = sizes["size"] * 8 // 7
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), "uint8")


def step(sizes: dict, precision: str, jit_compile: bool) -> dict:
    import keras
    import tensorflow as tf

    if precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{precision}")
    model = model_of(sizes, jit_compile=jit_compile)
    batch = images_of(sizes, sizes["batch"])
    steps = sizes["steps"] + _WARM
    data = tf.data.Dataset.from_tensors(batch).repeat(steps)
    seconds = statistics.median(seconds_of_steps(model, data, _WARM))
    return {"images_per_second": sizes["batch"] / seconds}


def input_pipeline(sizes: dict) -> dict:
    import numpy as np
    import tensorflow as tf

    import simclr_keras as sk

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(sizes["jpegs"]):
            coarse = random.random((1, 8, 8, 3), "float32")
            pixels = tf.image.resize(coarse, sizes["side"][::-1], "bicubic")[0]
            pixels = tf.cast(tf.clip_by_value(pixels, 0, 1) * 255, tf.uint8)
            path = pathlib.Path(folder) / f"{number}.jpg"
            path.write_bytes(tf.io.encode_jpeg(pixels).numpy())
        source = sk.load_source(folder, "all")
        cutter = sk.CropCutter(sk.SimCLRAugmenter(sizes["size"]), seed=0)
        batch = min(sizes["batch"], sizes["jpegs"])
        batches = sk.pretraining_dataset(
            source,
            batch,
            seed=0,
            first_step=0,
            num_steps=sizes["steps"] + _WARM,
            cutter=cutter,
        )
        ends = [time.perf_counter() for _ in batches]
    seconds = statistics.median(np.diff(ends)[_WARM - 1 :])
    return {"images_per_second": batch / seconds}


def replicas(sizes: dict, names: list[str]) -> dict:
    import numpy as np
    import tensorflow as tf

    if len(names) < 2:
        return {"skipped": f"{len(names)} GPU"}
    found = []
    images = images_of(sizes, 3 * sizes["batch"])
    for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(names)):
        with strategy.scope():
            model = model_of(sizes)
        data = tf.data.Dataset.from_tensor_slices(images).batch(sizes["batch"])
        model.fit(data, verbose=0)
        found.append(model.encoder.get_weights())
    difference = max(float(np.abs(a - b).max()) for a, b in zip(*found))
    return {"replicas": len(names), "largest_difference": difference}


def fits(sizes: dict, batch: int, micro_batch: int | None) -> dict:
    model = model_of(sizes, micro_batch)
    images = images_of(sizes, batch)
    for _ in range(2):
        loss = float(model.train_on_batch(images, return_dict=True)["loss"])
    return {"loss": loss}


def cifar10(sizes: dict, data_dir: str | None) -> dict:
    import simclr_keras as sk

    with tempfile.TemporaryDirectory() as folder:
        settings = {"data_dir": data_dir, **sizes["pretrain"], "run_dir": f"{folder}/run"}
        began = time.perf_counter()
        sk.pretrain(sk.PretrainConfig.from_sources(**settings))
        minutes = (time.perf_counter() - began) / 60
        measured = sk.evaluate(sk.EvaluateConfig(f"{folder}/run"))
    return {
        "minutes": minutes,
        "knn_accuracy": measured.knn_accuracy,
        "linear_accuracy": measured.linear_accuracy,
    }


def run(arguments, name: str, *values) -> dict:
    """A measurement in a process of its own; `{"error": ...}` if it fails."""
    command = [sys.executable, __file__, "--measure", json.dumps([name, *values])]
    command += ["--toy"] if arguments.toy else []
    command += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no output"])[-1][:300]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments, name: str, *values) -> dict:
    """In the process of a measurement."""
    sizes, names = (TOY if arguments.toy else FULL), devices(arguments.toy)
    functions = {
        "step": lambda *v: step(sizes, *v),
        "input": lambda: input_pipeline(sizes),
        "replicas": lambda: replicas(sizes, names),
        "fits": lambda *v: fits(sizes, *v),
        "cifar10": lambda: cifar10(sizes, arguments.data_dir),
    }
    return functions[name](*values)


def largest_batch(arguments, sizes: dict, micro_batch: int | None) -> dict:
    """The largest power of two that fits."""
    batch, found = sizes["batch"], 0
    while batch <= sizes["largest"]:
        result = run(arguments, "fits", batch, micro_batch)
        print(f"    {batch}: {result}", flush=True)
        if "error" in result:
            return {"images": found, "not": batch, **result}
        found, batch = batch, 2 * batch
    return {"images": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = ["step", "input", "replicas", "batch", "cifar10"]
    parser.add_argument("--output", default="gpu.json")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--data-dir", help="TFDS data for CIFAR-10")
    parser.add_argument(
        "--toy", action="store_true", help="at toy size, on logical CPU devices"
    )
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments, *json.loads(arguments.measure))))
        return
    sizes, results = (TOY if arguments.toy else FULL), {"toy": arguments.toy, "sizes": {}}
    results["sizes"] = {
        name: sizes[name] for name in ("encoder", "size", "batch", "micro_batch")
    }
    measurements = {
        "step": lambda: {
            f"{precision}{', XLA' if xla else ''}": run(arguments, "step", precision, xla)
            for precision, xla in sizes["steps_of"]
        },
        "input": lambda: run(arguments, "input"),
        "replicas": lambda: run(arguments, "replicas"),
        "batch": lambda: {
            "whole": largest_batch(arguments, sizes, None),
            "micro-batches": largest_batch(arguments, sizes, sizes["micro_batch"]),
        },
        "cifar10": lambda: run(arguments, "cifar10"),
    }
    for part in arguments.only:
        print(part, flush=True)
        results[part] = measurements[part]()
        print(f"    {results[part]}", flush=True)
        pathlib.Path(arguments.output).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
