"""Prepared TFDS datasets, written as TFDS itself writes them, without a download."""

import io
import json
import pathlib

import numpy as np
from PIL import Image

IMAGENET = "imagenet2012"


def jpeg(number: int, side: int = 12) -> bytes:
    """A small JPEG, different for each number and of several sizes."""
    draw = np.random.default_rng(number)
    height, width = draw.integers(side, 2 * side, 2)
    stream = io.BytesIO()
    image = Image.fromarray(draw.integers(0, 256, (height, width, 3), "uint8"))
    image.save(stream, "JPEG", quality=50)
    return stream.getvalue()


def write_imagenet(
    data_dir: str | pathlib.Path,
    per_shard: int = 7,
    file_format: str = "tfrecord",
    name: str = IMAGENET,
    **splits: int,
) -> pathlib.Path:
    """A dataset with the features, splits and shards of ImageNet, of tiny JPEGs.

    Args:
        data_dir: The folder of TFDS data.
        per_shard: The most examples in a shard.
        file_format: As TFDS calls it.
        name: The dataset.
        **splits: The number of examples in each; those of `test` have no label.

    Returns:
        The folder of the dataset.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=str(data_dir), file_format=file_format)
    folder = pathlib.Path(builder.data_dir)
    folder.mkdir(parents=True)
    writer = tfds.core.SequentialWriter(
        builder.info, max_examples_per_shard=per_shard, file_format=file_format
    )
    writer.initialize_splits(list(splits))
    first = 0
    for split, count in splits.items():
        examples = [
            {
                "image": io.BytesIO(jpeg(number)),
                "label": -1 if split == "test" else number % 3,
                "file_name": f"n{number:08}.JPEG",
            }
            for number in range(first, first + count)
        ]
        writer.add_examples({split: examples})
        first += count
    writer.close_all()
    _count_the_shards(folder)
    return folder


def _count_the_shards(folder: pathlib.Path) -> None:
    """Names the shards as TFDS does when it prepares a dataset: -00000-of-00008."""
    file = folder / "dataset_info.json"
    info = json.loads(file.read_text())
    for split in info["splits"]:
        shards = sorted(folder.glob(f"*-{split['name']}.*-?????"))
        for shard in shards:
            shard.rename(f"{shard}-of-{len(shards):05}")
        split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    file.write_text(json.dumps(info))
