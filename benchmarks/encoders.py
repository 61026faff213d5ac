"""Cost of encoders: parameters, multiply-adds, images per second in forward pass and training.

    python benchmarks/encoders.py cost r18_1x_sk0 r50_1x_sk1 resnet50
    python benchmarks/encoders.py peers --image-size 224 --batch-size 8

`cost` prints a row of the table in docs/encoders.md for each encoder, with the small-image stem
at 32 pixels. r50_1x_sk1 is the release's notation: depth, width, selective kernels; anything
else is a name for `build_encoder`. `peers` times ResNet-50 from this package,
keras.applications and KerasCV, taking turns in one process; `--adapted` adds the peers as
`build_encoder` prepares them. Training is forward, backward and an SGD step of the encoder
alone. An image here is one pass through the encoder; SimCLR makes two passes for each image of
a batch.

Images per second are medians of images / (processor seconds / cores): the speed of an otherwise
idle machine, which wall time shows only if the machine is idle. `peers` prints both times.
"""

import argparse
import os
import re
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from simclr_keras import build_encoder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    cost = commands.add_parser("cost", help="rows of the cost table")
    cost.add_argument("encoders", nargs="+", help="r50_1x_sk1, ... or names of build_encoder")
    cost.add_argument("--batch-sizes", type=int, nargs=2, default=(32, 8), help="at 32, 224 px")
    cost.add_argument("--repeats", type=int, default=3)
    peers = commands.add_parser("peers", help="ResNet-50 against its peers")
    peers.add_argument("--image-size", type=int, default=224)
    peers.add_argument("--batch-size", type=int, default=8)
    peers.add_argument("--repeats", type=int, default=9)
    peers.add_argument("--adapted", action="store_true", help="also time the adapted peers")
    arguments = parser.parse_args()
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {os.cpu_count()} cores\n")
    if arguments.command == "cost":
        print_costs(arguments.encoders, arguments.batch_sizes, arguments.repeats)
    else:
        compare_peers(arguments)


def print_costs(names, batch_sizes, repeats):
    print(
        "| encoder | parameters (M) | multiply-adds at 32 / 224 px (G) | forward | training |"
    )
    print("|---|---|---|---|---|")
    for name in names:
        flops, forward, training = [], [], []
        for size, batch_size in zip((32, 224), batch_sizes):
            keras.backend.clear_session()
            encoder = build(name, size)
            flops.append(f"{multiply_adds(encoder, size) / 1e9:.2f}")
            images = random_images(batch_size, size)
            for texts, make in ((forward, forward_pass), (training, training_step)):
                _, seconds = interleaved({name: make(encoder)}, images, repeats)[name]
                texts.append(f"{batch_size * os.cpu_count() / seconds:.3g}")
        print(
            f"| {name} | {encoder.count_params() / 1e6:.1f} | {' / '.join(flops)} | "
            f"{' / '.join(forward)} | {' / '.join(training)} |",
            flush=True,
        )


def compare_peers(arguments):
    peers = {
        "keras.applications": keras.applications.ResNet50(
            include_top=False, weights=None, input_shape=(None, None, 3), pooling="avg"
        ),
        "KerasCV": keras_cv_resnet50(),
    }
    encoders = {"simclr_keras": build("r50_1x_sk0", 224), **peers}
    if arguments.adapted:
        for name, model in peers.items():
            encoders[f"{name}, adapted"] = build_encoder(model, arguments.image_size)
    images = random_images(arguments.batch_size, arguments.image_size)
    for title, make in (("forward", forward_pass), ("training", training_step)):
        seconds = interleaved(
            {name: make(encoder) for name, encoder in encoders.items()},
            images,
            arguments.repeats,
        )
        print(f"{title}, {arguments.image_size} px, batch {arguments.batch_size}")
        for name, (wall, processor) in seconds.items():
            our_wall, our_processor = seconds["simclr_keras"]
            work = multiply_adds(encoders[name], arguments.image_size) / 1e9
            print(
                f"  {name:<30}{arguments.batch_size * os.cpu_count() / processor:8.2f} images/s"
                f"{processor / our_processor:8.2f} times our processor time"
                f"{wall / our_wall:8.2f} times our wall time{work:8.2f} G multiply-adds",
                flush=True,
            )


def build(name: str, image_size: int) -> keras.Model:
    match = re.fullmatch(r"r(\d+)_([\d.]+)x_sk([01])", name)
    if not match:
        return build_encoder(name, image_size)
    return build_encoder(
        f"simclr_resnet{match[1]}",
        image_size,
        width_multiplier=float(match[2]),
        small_image_stem=image_size <= 32,
        selective_kernel=match[3] == "1",
    )


def keras_cv_resnet50() -> keras.Model:
    import keras_cv

    backbone = keras_cv.models.ResNetBackbone(  # its resnet50 preset, without a download
        stackwise_filters=[64, 128, 256, 512],
        stackwise_blocks=[3, 4, 6, 3],
        stackwise_strides=[1, 2, 2, 2],
        include_rescaling=False,
    )
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    return keras.Model(backbone.input, pooled, name="keras_cv_resnet50")


def random_images(batch_size: int, size: int) -> tf.Tensor:
    images = np.random.default_rng(0).random((batch_size, size, size, 3), "float32")
    return tf.constant(images)


def forward_pass(encoder):
    return tf.function(lambda images: encoder(images, training=False))


def training_step(encoder):
    optimizer = keras.optimizers.SGD(1e-3)

    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(encoder(images, training=True)))
        variables = encoder.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return step


def interleaved(functions: dict, images, repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds per call; functions take turns, each traced first."""
    for function in functions.values():
        function(images)
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter(), time.process_time()
            function(images).numpy()
            end = time.perf_counter(), time.process_time()
            seconds[name].append([after - before for before, after in zip(start, end)])
    return {
        name: tuple(statistics.median(column) for column in zip(*rows))
        for name, rows in seconds.items()
    }


def multiply_adds(encoder: keras.Model, size: int) -> float:
    """Multiply-adds of convolutions and matrix products for one image, counted in the graph."""
    spec = tf.TensorSpec([1, size, size, 3], tf.float32)
    graph = tf.function(lambda x: encoder(x, training=False)).get_concrete_function(spec).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    options["account_displayed_op_only"] = True
    options["show_name_regexes"] = [r".*[cC]onv.*", ".*[mM]at[mM]ul.*"]
    options["account_type_regexes"] = [".*Conv.*", "MatMul"]
    profile = tf.compat.v1.profiler.profile(graph, cmd="scope", options=options)
    return profile.total_float_ops / 2


if __name__ == "__main__":
    main()
