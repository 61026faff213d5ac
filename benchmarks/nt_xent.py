"""Time and memory of NT-Xent, loss and gradient, against two other implementations.

    python benchmarks/nt_xent.py            # N = 4096 with the peers
    python benchmarks/nt_xent.py --growth   # ours alone, N = 64 to 32,768

`simclr_keras` computes similarities in tiles; `keras_cv.losses.SimCLRLoss` and the four-matrix
form of the original release (`objective.py` of google-research/simclr) hold all of them. Memory
is the peak resident size during the first call beyond that before it, each in a separate
process. Times are medians of interleaved calls in one process.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

TEMPERATURE = 0.1
NAMES = ("simclr_keras", "keras_cv", "four matrices")


def four_matrices(projections_1, projections_2):
    """The loss in the form of the original release: the sum of both directions."""
    hidden_1, hidden_2 = (
        tf.math.l2_normalize(projections, -1) for projections in (projections_1, projections_2)
    )
    count = tf.shape(hidden_1)[0]
    labels = tf.one_hot(tf.range(count), count * 2)
    masks = tf.one_hot(tf.range(count), count)

    def logits(a, b):
        return tf.matmul(a, b, transpose_b=True) / TEMPERATURE

    logits_aa = logits(hidden_1, hidden_1) - masks * 1e9
    logits_bb = logits(hidden_2, hidden_2) - masks * 1e9
    logits_ab, logits_ba = logits(hidden_1, hidden_2), logits(hidden_2, hidden_1)
    return tf.nn.softmax_cross_entropy_with_logits(
        labels, tf.concat([logits_ab, logits_aa], 1)
    ) + tf.nn.softmax_cross_entropy_with_logits(labels, tf.concat([logits_ba, logits_bb], 1))


def loss_and_gradient(name):
    """A traced function (projections_1, projections_2) -> (mean loss, its two gradients)."""
    if name == "simclr_keras":
        from simclr_keras import nt_xent_loss

        def pairs(a, b):
            return nt_xent_loss(a, b, TEMPERATURE)

    elif name == "keras_cv":
        import keras_cv

        peer = keras_cv.losses.SimCLRLoss(TEMPERATURE, reduction="none")

        def pairs(a, b):
            return peer(a, b) / 2.0  # KerasCV adds the two directions

    else:

        def pairs(a, b):
            return four_matrices(a, b) / 2.0

    @tf.function
    def run(a, b):
        with tf.GradientTape() as tape:
            tape.watch([a, b])
            loss = tf.reduce_mean(pairs(a, b))
        return loss, tape.gradient(loss, [a, b])

    return run


def projections(count, width):
    draw = np.random.default_rng(0)
    first = draw.normal(size=(count, width)).astype("float32")
    second = first + draw.normal(size=(count, width)).astype("float32")
    return tf.constant(first), tf.constant(second)


def seconds(run, data) -> float:
    began = time.perf_counter()
    loss, gradients = run(*data)
    loss.numpy(), [gradient.numpy() for gradient in gradients]
    return time.perf_counter() - began


def megabytes(kind: str) -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(kind)) / 1024


def memory(name, count, width) -> tuple[float, float]:
    """MB used by one call, and its loss; measured in a separate process."""
    command = [sys.executable, __file__, "--memory-of", name, "--width", str(width)]
    output = subprocess.run(
        [*command, "--pairs", str(count)], capture_output=True, text=True, check=True
    ).stdout
    return tuple(float(number) for number in output.split()[-2:])


def print_memory(name, count, width) -> None:
    run = loss_and_gradient(name)
    run(*projections(2, width))  # excludes threads, kernels and libraries from the measurement
    data = projections(count, width)
    before = megabytes("VmRSS")
    loss = float(run(*data)[0])
    print(megabytes("VmHWM") - before, loss)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=4096, help="N")
    parser.add_argument("--width", type=int, default=128, help="K")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--growth", action="store_true", help="ours alone, N = 64 to 32,768")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        return print_memory(arguments.memory_of, arguments.pairs, arguments.width)
    sizes = [64, 256, *(2**k for k in range(10, 16))] if arguments.growth else [arguments.pairs]
    names = NAMES[:1] if arguments.growth else NAMES
    print(
        f"{'N':>6}  {'loss and gradient of':<16}{'seconds':>9}{'ratio':>7}{'MB':>8}{'loss':>9}"
    )
    for count in sizes:
        data = projections(count, arguments.width)
        runs = {name: loss_and_gradient(name) for name in names}
        times = {name: [] for name in names}
        repeats = arguments.repeats if count < 16384 else 1
        for _ in range(repeats + 1):
            for name, run in runs.items():  # in turns, so other load affects all equally
                times[name].append(seconds(run, data))
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name in names:
            used, loss = memory(name, count, arguments.width)
            ratio = medians[name] / medians[names[0]]
            print(
                f"{count:>6}  {name:<16}{medians[name]:>9.3g}{ratio:>7.2f}{used:>8.0f}{loss:>9.4f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
