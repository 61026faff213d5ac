import numpy as np
import pytest
import tensorflow as tf

from simclr_keras.data.example_bytes import find_bytes, find_features, read_integer


def _example(**features) -> bytes:
    def feature(value):
        if isinstance(value[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))
        if isinstance(value[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=value))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))

    features = tf.train.Features(feature={k: feature(v) for k, v in features.items()})
    return tf.train.Example(features=features).SerializeToString()


@pytest.mark.parametrize(
    "length, label",
    [(0, 0), (1, 1), (127, 127), (128, 128), (20_000, 2**63 - 1), (9, -1), (9, -(2**63))],
)
def test_values_are_where_tensorflow_finds_them(length, label, rng):
    image = rng.bytes(length)
    example = _example(
        image=[image], label=[label], numbers=[1, 2], scores=[0.5, 2.0], names=[b"a", b"bc"]
    )
    features = find_features(example)
    assert sorted(features) == [b"image", b"label", b"names", b"numbers", b"scores"]
    start, end = find_bytes(example, *features[b"image"])
    assert example[start:end] == image
    assert read_integer(example, *features[b"label"]) == label
    parsed = tf.io.parse_single_example(
        example,
        {k: tf.io.FixedLenFeature([], d) for k, d in (("image", "string"), ("label", "int64"))},
    )
    assert parsed["image"] == example[start:end] and parsed["label"] == label


def test_what_protocol_buffers_allow_besides():
    """Values before names, numbers that are not packed, and fields that are not known."""
    feature = b"\x1a\x02\x08\x07"  # int64_list { value: 7 }, not packed
    entry = b"\x12" + bytes([len(feature)]) + feature + b"\x0a\x01n"
    unknown = b"\x20\x05" + b"\x29" + bytes(8) + b"\x35" + bytes(4)
    features = b"\x0a" + bytes([len(entry)]) + entry + unknown
    example = unknown + b"\x0a" + bytes([len(features)]) + features
    assert tf.train.Example.FromString(example).features.feature["n"].int64_list.value == [7]
    assert read_integer(example, *find_features(example)[b"n"]) == 7


def test_values_of_another_kind_or_number_are_refused():
    example = _example(image=[b"a", b"b"], label=[1, 2], score=[0.5])
    features = find_features(example)
    with pytest.raises(ValueError, match="2 values of bytes instead of one"):
        find_bytes(example, *features[b"image"])
    with pytest.raises(ValueError, match="2 integers instead of one"):
        read_integer(example, *features[b"label"])
    for find in (find_bytes, read_integer):
        with pytest.raises(ValueError, match="^0 "):
            find(example, *features[b"score"])


def test_damaged_examples_raise_nothing_else(rng):
    whole = _example(image=[rng.bytes(40)], label=[3])
    damaged = [whole[:n] for n in range(1, len(whole))]
    for _ in range(500):
        changed = np.frombuffer(whole, "uint8").copy()
        changed[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
        damaged.append(changed.tobytes())
    refused = 0
    for example in damaged:
        try:
            features = find_features(example)
            start, end = find_bytes(example, *features.get(b"image", (0, 0)))
            assert 0 <= start <= end <= len(example)
            read_integer(example, *features.get(b"label", (0, 0)))
        except ValueError:
            refused += 1
    assert refused > len(whole)
