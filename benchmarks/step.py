"""Speed of `fit` against a bare step of the same network, and against lightly.

    python benchmarks/step.py [--peer-python ~/lightly/bin/python]

CIFAR-10 views, a SimCLR ResNet-18 of quarter width with the small-image stem (0.7 M parameters), a
batch of 256 images of 32 px, AdamW. Each case runs in its own process, in rounds; the table has the
images/s of all steps but the first few and the ratio to the case named beside it, medians over rounds.

    bare             views that are ready; encoder, head and NT-Xent, forward and backward, and a plain
                     update of every variable: one `tf.function`, nothing else
    bare with views  the same, and makes the views from uint8 images first
    fit              `SimCLR.fit` on an array of uint8 images, with AdamW, metrics and progress
    lightly          lightly's head and loss on the same network in PyTorch, channels last, AdamW,
                     on views that are ready
    lightly with views  the same, and makes the same kind of views by its transforms, in two processes

For lightly: python -m venv ~/lightly && ~/lightly/bin/pip install lightly torch torchvision
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from timed_fit import seconds_of_steps

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
BATCH, SIZE, WARM = 256, 32, 3
PEER = pathlib.Path(__file__).parent / "peers" / "lightly_step.py"
# case -> the one that its speed is compared with
CASES = {
    "bare": "bare",
    "bare with views": "bare",
    "fit": "bare with views",
    "lightly": "bare",
    "lightly with views": "fit",
}


def model_of(precision: str):
    import keras

    import simclr_keras as sk

    keras.utils.set_random_seed(0)
    if precision != "float32":
        keras.mixed_precision.set_global_policy(f"mixed_{precision}")
    encoder = sk.build_encoder(
        "simclr_resnet18", SIZE, width_multiplier=0.25, small_image_stem=True
    )
    augmenter = sk.SimCLRAugmenter(
        SIZE, color_jitter_strength=0.5, blur=False, crop_area=(0.2, 1.0)
    )
    return sk.SimCLR(encoder, sk.ProjectionHead(128), augmenter, temperature=0.2)


def bare(precision: str, steps: int, with_views: bool) -> list[float]:
    """Seconds of each step."""
    import numpy as np
    import tensorflow as tf

    import simclr_keras as sk

    model = model_of(precision)
    random = np.random.default_rng(0)
    images = tf.constant(random.integers(0, 256, (BATCH, SIZE, SIZE, 3), "uint8"))
    ready = tf.concat(model.augmenter(images, seed=(0, 0)), axis=0)
    variables = [*model.encoder.trainable_variables, *model.projection_head.trainable_variables]

    @tf.function
    def step(number):
        views = ready
        if with_views:
            seed = tf.stack([tf.constant(0, tf.int64), number])
            views = tf.concat(model.augmenter(images, seed=seed), axis=0)
        with tf.GradientTape() as tape:
            features = model.encoder(views, training=True)
            projections = model.projection_head(features, training=True)
            loss = tf.reduce_mean(
                sk.nt_xent_loss(projections[:BATCH], projections[BATCH:], 0.2)
            )
        for variable, gradient in zip(variables, tape.gradient(loss, variables)):
            variable.assign_sub(1e-3 * tf.cast(gradient, variable.dtype))
        return loss

    seconds = []
    for number in range(steps + WARM):
        began = time.perf_counter()
        float(step(tf.constant(number, tf.int64)))
        seconds.append(time.perf_counter() - began)
    return seconds[WARM:]


def fit(precision: str, steps: int) -> list[float]:
    """Seconds between the ends of steps."""
    import keras
    import numpy as np

    model = model_of(precision)
    model.compile(keras.optimizers.AdamW(4e-3))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH * (steps + WARM), SIZE, SIZE, 3), "uint8")
    return seconds_of_steps(model, images, WARM, batch_size=BATCH)


def speed(case: str, precision: str, steps: int, peer: str | None) -> float:
    """Images/s of a case, measured in a process of its own."""
    if case.startswith("lightly"):
        command = [peer, str(PEER), "--precision", precision, "--steps", str(steps)]
        if case.endswith("with views"):
            command.append("--make-views")
    else:
        command = [
            sys.executable,
            __file__,
            "--steps",
            str(steps),
            "--measure",
            case,
            precision,
        ]
    output = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout
    return BATCH / statistics.mean(json.loads(output.splitlines()[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--peer-python", help="a Python with lightly and PyTorch")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        case, precision = arguments.measure
        seconds = (
            fit(precision, arguments.steps)
            if case == "fit"
            else bare(precision, arguments.steps, case == "bare with views")
        )
        print(json.dumps(seconds))
        return
    cases = [case for case in CASES if not case.startswith("lightly") or arguments.peer_python]
    found = {(case, precision): [] for precision in arguments.precisions for case in cases}
    for _ in range(arguments.rounds):
        for case, precision in found:
            rate = speed(case, precision, arguments.steps, arguments.peer_python)
            found[case, precision].append(rate)
    print("| precision | case | images/s | ratio |\n|---|---|---|---|")
    for (case, precision), rates in found.items():
        other = CASES[case]
        ratio = statistics.median(a / b for a, b in zip(rates, found[other, precision]))
        text = "" if other == case else f"{ratio:.2f} of {other}"
        print(f"| {precision} | {case} | {statistics.median(rates):.0f} | {text} |")


if __name__ == "__main__":
    main()
