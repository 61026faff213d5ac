"""Writes the same small images in every layout that is read, for `layouts.py` and `imagenet.py`.

Image k of N is JPEG k modulo 251, of class k * classes // N: all layouts give them in this order.
"""

import dataclasses
import functools
import io
import json
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterator

import numpy as np

_DISTINCT = 251  # a prime, so that no order repeats them in step


@dataclasses.dataclass(frozen=True)
class Images:
    """Small images, made when asked for.

    Attributes:
        count: N.
        classes: The number of classes.
        width: Of each image, in pixels.
        height: Of each image, in pixels.
    """

    count: int
    classes: int
    width: int = 16
    height: int = 16

    @functools.cached_property
    def jpegs(self) -> list[bytes]:
        """The distinct ones: structure at several scales, like a photo."""
        from PIL import Image

        encoded, shape = [], (self.width, self.height)
        for number in range(min(_DISTINCT, self.count)):
            draw = np.random.default_rng(number)
            image = np.zeros((self.height, self.width, 3))
            for cells in (2, 8, 32, 128):
                if cells > self.width:
                    break
                noise = draw.integers(0, 256, (cells, cells, 3), "uint8")
                image += np.asarray(Image.fromarray(noise).resize(shape, Image.BICUBIC)) / cells
            stream = io.BytesIO()
            image *= 255 / image.max()
            Image.fromarray(image.astype("uint8")).save(stream, "JPEG", quality=90)
            encoded.append(stream.getvalue())
        return encoded

    def label(self, number: int) -> int:
        """The class of an image."""
        return number * self.classes // self.count


def shard_lengths(count: int, shards: int) -> list[int]:
    """How many images each shard has: as many as the others, or one more."""
    return np.diff([k * count // shards for k in range(shards + 1)]).tolist()


def write_tfds(
    folder: pathlib.Path,
    features,
    file_format: str = "tfrecord",
    **splits: tuple[Images, int],
) -> None:
    """A prepared dataset of TFDS, of tf.train.Examples.

    Args:
        folder: Its folder, such as `made/1.0.0`.
        features: Its `FeaturesDict`: `image`, `label`, and maybe `file_name`.
        file_format: `"tfrecord"` or `"array_record"`.
        **splits: The images and the number of shards of each.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from simclr_keras.data.tfds_shards import read_order

    folder.mkdir(parents=True)
    infos = []
    for split, (images, shards) in splits.items():
        lengths = shard_lengths(images.count, shards)
        numbers = np.arange(images.count)
        if file_format != "array_record":  # TFDS reads several shards in turn
            numbers[read_order(lengths)] = np.arange(images.count)
        jpegs, first = images.jpegs, 0
        for shard, length in enumerate(lengths):
            name = f"{folder.parent.name}-{split}.{file_format}-{shard:05}-of-{shards:05}"
            with _record_writer(file_format, folder / name) as writer:
                for number in numbers[first : first + length].tolist():
                    example = tf.train.Example()
                    feature = example.features.feature
                    feature["image"].bytes_list.value.append(jpegs[number % _DISTINCT])
                    feature["label"].int64_list.value.append(images.label(number))
                    if "file_name" in features:
                        feature["file_name"].bytes_list.value.append(b"n%08d.JPEG" % number)
                    writer.write(example.SerializeToString())
            first += length
        # As many bytes as photos would take: too many to be kept in memory.
        infos.append(
            tfds.core.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=images.count * 110_000 + 2**34
            )
        )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features,
        split_infos=infos,
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
        check_data=False,
    )


def _record_writer(file_format: str, file: pathlib.Path):
    if file_format == "tfrecord":
        import tensorflow as tf

        return tf.io.TFRecordWriter(str(file))
    import contextlib

    from array_record.python.array_record_module import ArrayRecordWriter

    return contextlib.closing(ArrayRecordWriter(str(file), "group_size:1"))


def write_parquet(folder: pathlib.Path, images: Images, shards: int) -> None:
    """Parquet files as `datasets` of Hugging Face writes them, without compression."""
    import pyarrow as pa
    import pyarrow.parquet

    folder.mkdir(parents=True)
    names = [f"class_{k:04}" for k in range(images.classes)]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    jpegs = images.jpegs
    for shard, numbers in enumerate(_parts(images.count, shards)):
        content = pa.array([jpegs[k % _DISTINCT] for k in numbers], pa.binary())
        paths = pa.array([f"{k:07}.jpg" for k in numbers])
        image = pa.StructArray.from_arrays([content, paths], ["bytes", "path"])
        labels = pa.array(map(images.label, numbers), pa.int64())
        table = pa.table({"image": image, "label": labels}).replace_schema_metadata(metadata)
        pyarrow.parquet.write_table(
            table,
            folder / f"train-{shard:05}-of-{shards:05}.parquet",
            compression="none",
            use_dictionary=False,  # equal images would be stored once
            row_group_size=1000,
        )


def write_tars(folder: pathlib.Path, images: Images, shards: int) -> None:
    """Tar files as WebDataset writes them: `0000000.jpg` and `0000000.cls`."""
    folder.mkdir(parents=True)
    jpegs = images.jpegs
    for shard, numbers in enumerate(_parts(images.count, shards)):
        with open(folder / f"{shard:05}.tar", "wb") as file:
            for number in numbers:
                file.write(_member(f"{number:07}.jpg", jpegs[number % _DISTINCT]))
                file.write(_member(f"{number:07}.cls", b"%d" % images.label(number)))
            file.write(bytes(2 * tarfile.BLOCKSIZE))


def _member(name: str, content: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    header = member.tobuf(tarfile.USTAR_FORMAT)
    return header + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def write_folder(folder: pathlib.Path, images: Images, pool: pathlib.Path) -> None:
    """A folder for each class; each image is a hard link to one of a few files.

    Args:
        folder: The folder.
        images: The images.
        pool: The folder of these files; on the same file system.
    """
    pool.mkdir(parents=True)
    for number, content in enumerate(images.jpegs):
        (pool / f"{number}.jpg").write_bytes(content)
    label = -1
    for number in range(images.count):
        if images.label(number) != label:
            label = images.label(number)
            place = folder / f"class_{label:04}"
            place.mkdir(parents=True)
        origin, link = f"{pool}/{number % _DISTINCT}.jpg", f"{place}/{number:07}.jpg"
        try:
            os.link(origin, link)
        except OSError:  # the file system allows no more links, or none
            shutil.copyfile(origin, link)


def _parts(count: int, shards: int) -> Iterator[range]:
    first = 0
    for length in shard_lengths(count, shards):
        yield range(first, first + length)
        first += length
