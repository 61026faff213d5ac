"""Mutated images to the `serving_bytes` signature of a tiny export: `python tests/fuzz_serving.py`.

Each is answered with finite numbers or refused with an `InvalidArgumentError`; then the next whole
image gets the same answer as before, and memory is given back. A part of it is in
`serving/test_fuzz.py`.
"""

import argparse
import pathlib
import random
import resource
import tempfile
from collections.abc import Iterator

import encoded
import keras
import numpy as np
import tensorflow as tf

_ALARMING = (b"\xff\xff", b"\0\0", b"\x7f\xff", b"\xff\xd8", b"\xff\xda", b"IDAT", b"\xff\xc2")


def mutated(content: bytes, draw: random.Random) -> bytes:
    """An image with one to eight changes: bytes, headers, parts left out, repeated or moved."""
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        if not changed:
            break
        near_the_start = min(len(changed), 64)
        place = draw.randrange(draw.choice((near_the_start, len(changed))))
        length = draw.randint(1, 40)
        kind = draw.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            changed[place] = draw.randrange(256)
        elif kind == 2:
            changed[place : place + 4] = draw.choice(_ALARMING)
        elif kind == 3:
            del changed[place : place + length]
        elif kind == 4:
            changed[place:place] = changed[place : place + length]
        else:
            del changed[place + length :]
    return bytes(changed)


def mutations(count: int, seed: int = 0) -> Iterator[bytes]:
    """So many mutated images of all kinds, and those that are made to hurt."""
    draw = random.Random(seed)
    images = list(encoded.encoded_images().values())
    yield from (encoded.zip_bomb(), encoded.jpeg_bomb(), encoded.many_frames(), b"")
    for number in range(count - 4):
        yield mutated(images[number % len(images)], draw)


class Served:
    """The signature of an export, with counts of what it did."""

    def __init__(self, path: pathlib.Path):
        self._model = tf.saved_model.load(str(path))  # the signature does not keep it
        self._serve = self._model.signatures["serving_bytes"]
        self._good = encoded.encoded_images()["jpeg"]
        self._expected = self.embed(self._good)
        self.answered = self.refused = 0

    def embed(self, content: bytes) -> np.ndarray:
        return self._serve(image_bytes=tf.constant([content]))["embedding"].numpy()

    def take(self, content: bytes) -> None:
        """Sends an image; anything but an answer of finite numbers or a refusal is an error."""
        try:
            answer = self.embed(content)
        except tf.errors.InvalidArgumentError:
            self.refused += 1
        else:
            assert answer.shape == self._expected.shape and np.isfinite(answer).all()
            self.answered += 1

    def check(self) -> None:
        np.testing.assert_array_equal(self.embed(self._good), self._expected)


def megabytes() -> float:
    """What this process has in memory now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    from simclr_keras import export_encoder

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images = keras.Input((16, 16, 3))
    features = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(images))
    with tempfile.TemporaryDirectory() as folder:
        served = Served(export_encoder(keras.Model(images, features), folder))
        at_start = megabytes()
        for number, content in enumerate(mutations(options.count, options.seed)):
            served.take(content)
            if number % 20 == 0:
                served.check()
            if number % 1000 == 0:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
                print(f"{number}: {megabytes():.0f} MB, at most {peak:.0f} MB", flush=True)
        served.check()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        f"{options.count} mutated images: {served.answered} answered, {served.refused} refused"
    )
    print(
        f"{at_start:.0f} MB at the start, {megabytes():.0f} MB at the end, at most {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
