"""Millions of small images in each layout: time to the first batch, speed, batches and memory.

The same images are written as TFRecords and ArrayRecords of TFDS, Parquet files, WebDataset tars and a
folder of class folders, one layout at a time:

- seconds from loading to the first batch, without and with the kept index or listing (the files are in
  the page cache as far as they fit);
- peak memory beyond that of a few images, in bytes for each image more; every number is of a
  process of its own;
- whether the batches are those of the other layouts, and those of a resumed run those of one that was
  not interrupted, at the start, in the middle and across the end of an epoch.

Then the speed of input, against the same images in memory: rounds are interleaved, ratios are medians.
Photos of 500 x 375 pixels, where decoding is the bound, and images of 16 x 16, where all else is.

    python benchmarks/layouts.py --images 2000000 --folder /disk/for/made/data
    python benchmarks/layouts.py --layouts tfrecord parquet --only scale
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import made_images

LAYOUTS = ("tfrecord", "array_record", "parquet", "webdataset", "folder")
NAME = "made_images"  # of the TFDS dataset
BATCH, PER_SHARD, PER_CLASS = 256, 10_000, 2_000
FEW = 20_000  # images, with whose memory that of all is compared


def write(layout: str, folder: pathlib.Path, images: made_images.Images) -> None:
    """Writes images in one layout."""
    shards = max(2, images.count // PER_SHARD)
    if layout == "parquet":
        made_images.write_parquet(folder, images, shards)
    elif layout == "webdataset":
        made_images.write_tars(folder, images, shards)
    elif layout == "folder":
        made_images.write_folder(folder, images, folder.parent / f"{folder.name}-files")
    else:
        import tensorflow_datasets as tfds

        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(),
                "label": tfds.features.ClassLabel(num_classes=images.classes),
            }
        )
        place = folder / NAME / "1.0.0"
        made_images.write_tfds(place, features, layout, train=(images, shards))


def load(layout: str, folder: str):
    """The source of what `write` wrote."""
    import simclr_keras as sk

    if layout in ("tfrecord", "array_record"):
        return sk.load_source(NAME, "all", data_dir=folder)
    return sk.load_source(folder, "all")


def batches(source, first_step: int, count: int, image_size: int = 16, batch: int = BATCH):
    """The batches of some steps of a run."""
    import simclr_keras as sk

    return sk.pretraining_dataset(
        source,
        min(batch, len(source) // 4),
        seed=0,
        first_step=first_step,
        num_steps=first_step + count,
        image_size=image_size,
        with_labels=True,
    )


def digests(source, first_step: int, count: int) -> list[str]:
    """A digest of the images and labels of each of some batches."""
    return [
        hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
        for images, labels in batches(source, first_step, count).as_numpy_iterator()
    ]


def peak_bytes() -> int:
    """The most memory that this process has held; not that of the one that started it."""
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def start(layout: str, folder: str, check: bool) -> dict:
    """Loads images and reads their first batches."""
    import tensorflow_datasets  # noqa: F401  # not timed

    from simclr_keras.data import datasets  # noqa: F401

    began = time.perf_counter()
    source = load(layout, folder)
    loaded = time.perf_counter()
    next(iter(batches(source, 0, 4)))
    ended = time.perf_counter()
    found = {"load": loaded - began, "first": ended - began, "images": len(source)}
    found["peak"] = peak_bytes()
    if check:
        epoch = len(source) // min(BATCH, len(source) // 4)
        firsts = 0, epoch // 2, epoch - 2  # the last goes on into the next epoch
        whole = [digests(source, first, 4) for first in firsts]
        resumed = [digests(source, first + 3, 1)[0] for first in firsts]
        found["batches"] = hashlib.sha256(json.dumps(whole).encode()).hexdigest()[:8]
        found["resumes"] = resumed == [each[3] for each in whole]
    return found


def speed(layouts: list[str], folder: str, image_size: int, rounds: int) -> dict:
    """Seconds, and seconds of the processor, for reading all images once, from each layout."""
    from simclr_keras.data.sources import EncodedSource

    sources = {layout: load(layout, f"{folder}/{layout}") for layout in layouts}
    some = next(iter(sources.values()))
    encoded = [some.read(k).numpy() for k in range(len(some))]
    sources = {"memory": EncodedSource(encoded, some.labels), **sources}
    found = {layout: [] for layout in sources}
    for number in range(rounds + 1):
        for layout, source in sources.items():
            count = len(source) // 64
            began, used = time.perf_counter(), time.process_time()
            for _ in batches(source, count * number, count, image_size, 64):
                pass
            seconds = time.perf_counter() - began, time.process_time() - used
            if number:  # the first is the warm-up
                found[layout].append([x / (64 * count) for x in seconds])
    return found


def in_process(cache: pathlib.Path, function: str, *arguments) -> dict:
    """What a function of this script returns in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--call", json.dumps([function, *arguments])],
        env={**os.environ, "SIMCLR_KERAS_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def images_of(count: int, **shape: int) -> made_images.Images:
    return made_images.Images(count, max(2, count // PER_CLASS), **shape)


def measure_scale(work: pathlib.Path, options) -> None:
    few = min(FEW, options.images // 2)
    print(f"{options.images:,} images of 16 x 16 pixels; memory beyond that of {few:,}\n")
    print(
        "| layout | written, s | MB | no index: load, s | first batch, s | bytes/image ", end=""
    )
    print("| with it: load, s | first batch, s | bytes/image | batches | resumes |")
    print("|---|" + "---:|" * 8 + "---|---|", flush=True)
    for layout in options.layouts:
        folder, cache = work / layout, work / "cache"
        began = time.perf_counter()
        write(layout, folder / "all", images_of(options.images))
        seconds = time.perf_counter() - began
        write(layout, folder / "few", images_of(few))
        time.sleep(2.5)  # a folder that has just changed may change again without another time
        disk = sum(f.stat().st_size for f in (folder / "all").rglob("*") if layout != "folder")
        cells = f"| {layout} | {seconds:.0f} | {disk / 1e6:.0f} "
        for check in (False, True):
            small = in_process(cache, "start", layout, str(folder / "few"), False)
            found = in_process(cache, "start", layout, str(folder / "all"), check)
            assert found["images"] == options.images
            growth = (found["peak"] - small["peak"]) / (options.images - few)
            cells += f"| {found['load']:.1f} | {found['first']:.1f} | {growth:.0f} "
        print(f"{cells}| {found['batches']} | {found['resumes']} |", flush=True)
        if not options.keep:
            shutil.rmtree(folder)


def measure_speed(work: pathlib.Path, options) -> None:
    photos, tiny = options.photos, 4 * options.photos
    for images, image_size in (
        (images_of(photos, width=500, height=375), 224),
        (images_of(tiny), 16),
    ):
        folder = work / f"speed-{image_size}"
        for layout in options.layouts:
            write(layout, folder / layout, images)
        layouts = list(options.layouts)
        found = in_process(
            work / "cache", "speed", layouts, str(folder), image_size, options.rounds
        )
        print(f"\n{images.count:,} images of {images.width} x {images.height} pixels\n")
        print("| layout | images/s | of memory's | CPU ms/image | of memory's |")
        print("|---|---:|---:|---:|---:|")
        for layout, taken in found.items():
            seconds, used = (statistics.median(column) for column in zip(*taken))
            ratios = [
                statistics.median(m[k] / own[k] for own, m in zip(taken, found["memory"]))
                for k in range(2)
            ]
            print(
                f"| {layout} | {1 / seconds:,.0f} | {ratios[0]:.2f}x | {1000 * used:.2f} | "
                f"{1 / ratios[1]:.2f}x |",
                flush=True,
            )
        if not options.keep:
            shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2_000_000)
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    parser.add_argument("--only", choices=("scale", "speed"), help="default: both")
    parser.add_argument("--photos", type=int, default=1024, help="for speed")
    parser.add_argument("--rounds", type=int, default=5, help="for speed")
    parser.add_argument("--folder", help="for the made data; default: a temporary one")
    parser.add_argument("--keep", action="store_true", help="do not remove the made data")
    parser.add_argument("--call", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.call:
        function, *arguments = json.loads(options.call)
        print(json.dumps({"start": start, "speed": speed}[function](*arguments)))
        return
    work = pathlib.Path(tempfile.mkdtemp(prefix="simclr_keras_shards_", dir=options.folder))
    try:
        if options.only != "speed":
            measure_scale(work, options)
        if options.only != "scale":
            measure_speed(work, options)
    finally:
        if not options.keep:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
