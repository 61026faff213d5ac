"""Speed and memory of `embed` on a folder of JPEGs.

Compares medians of interleaved repeats in one process:

- the bare encoder of the exported model on decoded batches: the upper bound, without decoding;
- `embed`, from the folder to the file;
- its peer, `keras.utils.image_dataset_from_directory` + `predict`, from the folder to an array.
  (The peer resizes without antialiasing, which is less work and gives a different image.)

"whole" includes everything from the call on: loading the exported model, or loading
`encoder.keras` and tracing. "warm" is the rate from the first batch to the last.

With --parts, the processor time that each part takes per image is shown, the least of the repeats:
what bounds the speed.

With --memory, each number of images is embedded in a separate process and its peak resident
memory is shown.

    python benchmarks/embed.py --folder photos/ --image-size 64 --width 0.25
    python benchmarks/embed.py --jpeg-side 224 --parts
    python benchmarks/embed.py --memory
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", help="folder of JPEGs; default: generated ones")
    parser.add_argument("--jpeg-side", type=int, default=500, help="longer side, if generated")
    parser.add_argument("--images", type=int, default=2000, help="images per measurement")
    parser.add_argument("--encoder", default="simclr_resnet18")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 5_000, 20_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        if options.memory:
            measure_memory(work, options)
        elif options.parts:
            measure_parts(work, options)
        else:
            measure_speed(work, options)


def peer_batches(folder: pathlib.Path, size: int, batch: int):
    """What Keras makes of a folder: the input of the peer."""
    import keras

    return keras.utils.image_dataset_from_directory(
        folder,
        labels=None,
        shuffle=False,
        image_size=(size, size),
        batch_size=batch,
        crop_to_aspect_ratio=True,
    )


def measure_speed(work, options):
    import keras
    import numpy as np
    import tensorflow as tf

    from simclr_keras import EmbedConfig, build_encoder, embed, export_encoder, load_exported

    folder = link_images(work / "images", folder_of(work, options), options.images)
    size, batch = options.image_size, options.batch_size
    encoder = build_encoder(options.encoder, size, width_multiplier=options.width)
    exported = export_encoder(encoder, work / "model", image_size=size)
    encoder.save(work / "encoder.keras")
    ready = tf.random.uniform([batch, size, size, 3])
    served = load_exported(exported).signatures["serving_default"]

    def bare():
        stamps = []
        for _ in range(-(-options.images // batch)):
            served(images=ready)["embedding"].numpy()
            stamps.append(time.perf_counter())
        return stamps

    def embed_to(suffix):
        stamps = []
        config = EmbedConfig(
            exported, folder, output=str(work / f"e{suffix}"), batch_size=batch
        )
        embed(config, lambda *_: stamps.append(time.perf_counter()))
        return stamps[:-1]

    class Stamps(keras.callbacks.Callback):
        def on_predict_begin(self, logs=None):
            self.stamps = []

        def on_predict_batch_end(self, batch, logs=None):
            self.stamps.append(time.perf_counter())

    def peer():
        model = keras.models.load_model(work / "encoder.keras", compile=False)
        dataset = peer_batches(folder, size, batch)
        stamps = Stamps()
        vectors = model.predict(dataset.map(lambda x: x / 255.0), callbacks=[stamps], verbose=0)
        np.savez(work / "peer.npz", paths=dataset.file_paths, embeddings=vectors)
        return stamps.stamps

    kinds = {
        "bare encoder": bare,
        "embed .npz": lambda: embed_to(".npz"),
        "embed .parquet": lambda: embed_to(".parquet"),
        "image_dataset + predict": peer,
    }
    whole, warm = {kind: [] for kind in kinds}, {kind: [] for kind in kinds}
    for repeat in range(options.repeats + 1):
        for kind, run in kinds.items():
            begin = time.perf_counter()
            stamps = run()
            end = time.perf_counter()
            if repeat:  # the first is the warm-up
                whole[kind].append(options.images / (end - begin))
                warm[kind].append(batch * (len(stamps) - 1) / (stamps[-1] - stamps[0]))
    print(
        f"{options.encoder}, width {options.width}, {size} pixels; {options.images} JPEGs, "
        f"TensorFlow {tf.__version__}, {os.cpu_count()} CPU cores\n"
    )
    print(f"{'images/s':<26}{'warm':>8}{'to peer':>9}{'whole':>9}{'to peer':>9}")
    reference = "image_dataset + predict"
    for kind in kinds:
        cells = ""
        for rates in (warm, whole):
            pairs = zip(rates[kind], rates[reference])
            ratio = statistics.median(own / other for own, other in pairs)
            cells += f"{statistics.median(rates[kind]):>9.0f}{ratio:>8.2f}x"
        print(f"{kind:<25}{cells}")


def measure_parts(work, options):
    import tensorflow as tf

    import simclr_keras as sk

    folder = link_images(work / "images", folder_of(work, options), options.images)
    files = sorted(map(str, folder.iterdir()))
    source = sk.load_source(str(folder), "all")
    size, batch = options.image_size, options.batch_size
    encoder = sk.build_encoder(options.encoder, size, width_multiplier=options.width)
    shorter = min(tf.io.decode_jpeg(tf.io.read_file(files[0])).shape[:2])
    ratio = max(r for r in (1, 2, 4, 8) if r == 1 or shorter >= r * size)
    ready = tf.data.Dataset.from_tensors(tf.random.uniform([batch, size, size, 3]))

    def each_file(function):
        files_in_order = tf.data.Dataset.from_tensor_slices(files)
        return files_in_order.map(function, num_parallel_calls=4).batch(batch)

    def decode(path, ratio=1):
        return tf.io.decode_jpeg(tf.io.read_file(path), channels=3, ratio=ratio)

    def resize(path, ratio=1, antialias=False):
        return tf.image.resize(decode(path, ratio), (size, size), antialias=antialias)

    kinds = {
        "read": lambda: each_file(tf.io.read_file),
        "read, decode": lambda: each_file(lambda path: decode(path)[:size, :size]),
        f"read, decode at 1/{ratio}": lambda: each_file(
            lambda path: decode(path, ratio)[:size, :size]
        ),
        "read, decode, resize": lambda: each_file(resize),
        f"read, decode at 1/{ratio}, resize antialiased": lambda: each_file(
            lambda path: resize(path, ratio, True)
        ),
        "all of the input of `embed`": lambda: sk.evaluation_dataset(source, size, batch),
        "all of the input of the peer": lambda: peer_batches(folder, size, batch),
        "encoder": lambda: ready.repeat(-(-len(files) // batch)).map(encoder),
    }
    least = dict.fromkeys(kinds, float("inf"))
    for _ in range(options.repeats):
        for kind, dataset in kinds.items():
            batches = iter(dataset())
            next(batches)
            begin = time.process_time()
            images = batch * sum(1 for _ in batches)
            least[kind] = min(least[kind], (time.process_time() - begin) / images)
    print("\nprocessor time per image, microseconds")
    for kind, seconds in least.items():
        print(f"{kind:<50}{1e6 * seconds:>6.0f}")


_CHILD = """
import resource, sys
from simclr_keras import EmbedConfig, embed
model, images, output = sys.argv[1:4]
result = embed(EmbedConfig(model, images, output))
print(result.count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def measure_memory(work, options):
    import keras

    from simclr_keras import export_encoder

    # Outputs as many numbers as a ResNet-50 at little cost, because only memory is measured.
    images = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(8, 3, strides=4)(images)
    x = keras.layers.Dense(2048)(keras.layers.GlobalAveragePooling2D()(x))
    exported = export_encoder(keras.Model(images, x), work / "model")
    source = folder_of(work, options)
    print(f"{'images':>8}{'.parquet':>12}{'.npz':>12}   (peak MB)")
    for count in options.counts:
        folder = link_images(work / str(count), source, count)
        peaks = []
        for suffix in (".parquet", ".npz"):
            arguments = [str(exported), str(folder), str(work / f"e{suffix}")]
            command = [sys.executable, "-c", _CHILD, *arguments]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            embedded, peak = output.split()[-2:]
            assert int(embedded) == count
            peaks.append(int(peak))
        print(f"{count:>8}{peaks[0]:>12}{peaks[1]:>12}", flush=True)


def folder_of(work: pathlib.Path, options) -> pathlib.Path | str:
    return options.folder or make_images(work, options.jpeg_side)


def make_images(work: pathlib.Path, side: int) -> pathlib.Path:
    """Makes JPEGs with aspect ratio 4:3 and structure at every scale, like photos."""
    import numpy as np
    import tensorflow as tf

    folder = work / "made"
    folder.mkdir()
    draw = np.random.default_rng(0)
    shape = (side * 3 // 4, side)
    for index in range(max(4, 100 * 500**2 // side**2)):
        image = np.zeros((*shape, 3))
        for cells in (4, 16, 64, 256):
            noise = draw.normal(size=(cells * 3 // 4, cells, 3))
            image += tf.image.resize(noise, shape, "bicubic").numpy() * 60 / cells**0.5
        pixels = np.clip(image + 128, 0, 255).astype("uint8")
        encoded = tf.io.encode_jpeg(pixels, quality=90)
        (folder / f"{index:03}.jpg").write_bytes(encoded.numpy())
    return folder


def link_images(folder: pathlib.Path, source, count: int) -> pathlib.Path:
    """Makes a folder of `count` links to the JPEGs below `source`, repeating them if needed."""
    files = sorted(p for p in pathlib.Path(source).rglob("*") if p.suffix in (".jpg", ".jpeg"))
    folder.mkdir()
    for index in range(count):
        (folder / f"{index:06}.jpg").symlink_to(files[index % len(files)].resolve())
    return folder


if __name__ == "__main__":
    main()
