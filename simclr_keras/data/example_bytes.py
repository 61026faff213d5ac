"""Finds the values of features inside a serialized `tf.train.Example`.

`tf.io.parse_example` returns values, but not where they are: only with their place can an image be
read from a file later without the rest of its example.
"""

from collections.abc import Iterator

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # wire types of protocol buffers
_BYTES_LIST, _INT64_LIST = 1, 3  # fields of tf.train.Feature


def find_image(example: bytes, image_key: str, label_key: str | None) -> tuple[int, int, int]:
    """Where the image in an example is, and its label.

    Args:
        example: A serialized `tf.train.Example`.
        image_key: The feature that holds the image.
        label_key: The feature that holds the label. `None` for none.

    Returns:
        First and last place (exclusive) of the image; and its label, -1 for none.

    Raises:
        ValueError: If the bytes are not an example of one image.
    """
    features = find_features(example)
    places = features.get(image_key.encode())
    if places is None:
        names = ", ".join(sorted(name.decode(errors="replace") for name in features))
        raise ValueError(f"no feature {image_key!r}, only {names or 'none'}")
    start, end = find_bytes(example, *places)
    label = -1
    if label_key is not None and label_key.encode() in features:
        label = read_integer(example, *features[label_key.encode()])
    return start, end, label


def find_features(example: bytes) -> dict[bytes, tuple[int, int]]:
    """Where the features of an example are.

    Args:
        example: A serialized `tf.train.Example`.

    Returns:
        First and last place (exclusive) of each `tf.train.Feature`, by name.

    Raises:
        ValueError: If the bytes are not an example.
    """
    found = {}
    for start, end in _messages(example, 0, len(example), 1):  # Example.features
        for entry in _messages(example, start, end, 1):  # Features.feature, a map
            name, feature = b"", (0, 0)
            for number, value, stop in _fields(example, *entry):
                if number == 1:
                    name = example[value:stop]
                elif number == 2 and stop is not None:
                    feature = value, stop
            found[name] = feature
    return found


def find_bytes(example: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the value of a feature is that holds one string of bytes.

    Args:
        example: A serialized `tf.train.Example`.
        start: First place of the feature, from `find_features`.
        end: Its last place, exclusive.

    Returns:
        First and last place (exclusive) of the value.

    Raises:
        ValueError: If the feature holds anything else.
    """
    values = [
        value
        for values in _messages(example, start, end, _BYTES_LIST)
        for value in _messages(example, *values, 1)
    ]
    if len(values) != 1:
        raise ValueError(f"{len(values)} values of bytes instead of one")
    return values[0]


def read_integer(example: bytes, start: int, end: int) -> int:
    """The value of a feature that holds one integer.

    Args:
        example: A serialized `tf.train.Example`.
        start: First place of the feature, from `find_features`.
        end: Its last place, exclusive.

    Returns:
        The integer, as a signed number of 64 bits.

    Raises:
        ValueError: If the feature holds anything else.
    """
    values = []
    for first, last in _messages(example, start, end, _INT64_LIST):
        for _, value, stop in _fields(example, first, last):
            if stop is None:  # not packed
                values.append(value)
                continue
            while value < stop:
                number, value = _varint(example, value)
                values.append(number)
    if len(values) != 1:
        raise ValueError(f"{len(values)} integers instead of one")
    return values[0] - 2**64 if values[0] >= 2**63 else values[0]


def _messages(data: bytes, start: int, end: int, number: int) -> Iterator[tuple[int, int]]:
    """The places of the fields of one number that are messages, strings or packed numbers."""
    for found, value, stop in _fields(data, start, end):
        if found == number:
            if stop is None:
                raise ValueError("a number instead of a message")
            yield value, stop


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int | None]]:
    """The fields of a message.

    Yields:
        Number of the field; first and last place (exclusive) of what it holds, or, for a number of
        variable length, that number and `None`.
    """
    while start < end:
        tag, start = _varint(data, start)
        kind, stop = tag & 7, None
        if kind == _VARINT:
            value, start = _varint(data, start)
        else:
            if kind == _BYTES:
                length, start = _varint(data, start)
            elif kind in (_FIXED_32, _FIXED_64):
                length = 4 if kind == _FIXED_32 else 8
            else:
                raise ValueError(f"unknown wire type {kind}")
            value, start = start, start + length
            stop = start
        if start > end:
            raise ValueError("a field that ends after its message")
        yield tag >> 3, value, stop


def _varint(data: bytes, start: int) -> tuple[int, int]:
    """An unsigned number of variable length, and the place after it."""
    value = shift = 0
    while shift < 70:
        if start >= len(data):
            raise ValueError("a number that is cut off")
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start += 1
        if byte < 0x80:
            return value, start
        shift += 7
    raise ValueError("a number of more than 10 bytes")
