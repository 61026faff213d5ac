"""Reads and checks image headers, in TensorFlow ops, before anything is decoded.

A file of kilobytes can declare an image of gigabytes, or hold thousands of frames when only
one is wanted. Decoders trust the header and allocate first.
"""

import tensorflow as tf

MAX_PIXELS = 2**27  # 134 million, 400 MB when decoded
PNG_START = b"\x89PNG\r\n\x1a\n"
_START_BYTES = 32  # enough to hold the sizes in GIF and BMP headers


def file_start(image_bytes: tf.Tensor) -> tf.Tensor:
    """The first bytes of a file, zero-padded: uint8 `(32,)`."""
    start = tf.strings.join([tf.strings.substr(image_bytes, 0, _START_BYTES), bytes(32)])
    start = tf.io.decode_raw(tf.strings.substr(start, 0, _START_BYTES), tf.uint8)
    return tf.ensure_shape(start, [_START_BYTES])


def begins_with(start: tf.Tensor, signature: bytes) -> tf.Tensor:
    """Whether a file starts with `signature`: bool scalar."""
    return tf.reduce_all(start[: len(signature)] == tf.constant(list(signature), tf.uint8))


def is_png(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether a file starts with the PNG signature: bool scalar."""
    return tf.strings.substr(image_bytes, 0, len(PNG_START)) == PNG_START


def png_fits(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether a PNG declares at least one pixel and not too many: bool scalar."""
    width, height = tf.unstack(_png_sides(image_bytes))
    return fits(height, width)


def check_png_size(image_bytes: tf.Tensor) -> tf.Operation | None:
    """Refuses a PNG that declares no pixels or too many; lets other formats pass."""
    width, height = tf.unstack(tf.where(is_png(image_bytes), _png_sides(image_bytes), 1))
    return check_size(height, width)


def check_bmp_size(start: tf.Tensor) -> tf.Operation | None:
    """Refuses a BMP that declares no pixels or too many."""
    height = _number(start[22:26])
    height = tf.where(height >= 2**31, 2**32 - height, height)  # negative: top-down rows
    return check_size(height, _number(start[18:22]))


def check_webp(start: tf.Tensor) -> tf.Operation | None:
    """Refuses a WebP that moves, or declares too many pixels.

    TensorFlow decodes all frames of a moving one, and ends the process if they have no alpha.

    Args:
        start: The first bytes of the file, see `file_start`.
    """
    is_extended, is_lossless = (begins_with(start[12:], kind) for kind in (b"VP8X", b"VP8L"))
    moves = is_extended & (tf.bitwise.bitwise_and(start[20], 2) > 0)
    still = tf.debugging.Assert(~moves, ["A moving WebP image. Convert it to a GIF or a PNG."])
    packed = _number(start[21:25])  # 14 bits each
    width, height = _number(start[26:28]) % 2**14, _number(start[28:30]) % 2**14
    width = tf.where(is_lossless, packed % 2**14 + 1, width)
    height = tf.where(is_lossless, packed // 2**14 % 2**14 + 1, height)
    width = tf.where(is_extended, _number(start[24:27]) + 1, width)
    height = tf.where(is_extended, _number(start[27:30]) + 1, height)
    with dependencies(still):
        return check_size(height, width)


def is_webp(start: tf.Tensor) -> tf.Tensor:
    """Whether a file starts as a WebP does: bool scalar."""
    return begins_with(start, b"RIFF") & begins_with(start[8:], b"WEBP")


def first_frame(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """Cuts a GIF off after its first frame; TensorFlow would decode all of them.

    Args:
        image_bytes: string scalar, the file.
        start: Its first bytes, see `file_start`.

    Returns:
        string scalar: the file up to the end of its first frame.

    Raises:
        tf.errors.InvalidArgumentError: If the GIF declares no pixels or more than
            `MAX_PIXELS`, or has no frame.
    """
    end, height, width = _first_frame(image_bytes)
    # The canvas size counts too: a decoder may allocate either.
    height = tf.maximum(height, tf.where(height > 0, _number(start[8:10]), 0))
    width = tf.maximum(width, tf.where(width > 0, _number(start[6:8]), 0))
    first = tf.strings.substr(image_bytes, 0, tf.cast(end, tf.int32))
    with dependencies(check_size(height, width)):
        return tf.strings.join([first, b"\x3b"])


def dependencies(*checks: tf.Operation | None):
    """A context whose tensors wait for these checks; in eager mode they have already run."""
    return tf.control_dependencies([check for check in checks if check is not None])


def _png_sides(image_bytes):
    """int64 (width, height); uses few ops, because every pipeline runs it on each image."""
    start = tf.strings.join([tf.strings.substr(image_bytes, 0, 24), bytes(24)])
    sides = tf.io.decode_raw(tf.strings.substr(start, 16, 8), tf.int32, little_endian=False)
    return tf.cast(tf.ensure_shape(sides, [2]), tf.int64)


def fits(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Whether int64 sides are those of at least one pixel and not too many: bool scalar."""
    # Height and width can each be up to 2^32, so checking only their product could overflow.
    are_sides = (height > 0) & (width > 0) & (height <= MAX_PIXELS) & (width <= MAX_PIXELS)
    return are_sides & (height * width <= MAX_PIXELS)


def check_size(height: tf.Tensor, width: tf.Tensor) -> tf.Operation | None:
    """Refuses int64 sides of no pixels or too many."""
    return tf.debugging.Assert(
        fits(height, width),
        [
            f"The image declares no pixels or more than {MAX_PIXELS}. Make it smaller. "
            "Received: height, width =",
            height,
            width,
        ],
    )


def _number(values: tf.Tensor) -> tf.Tensor:
    """Little-endian uint8 `(n,)` as one int64."""
    places = tf.constant([256**place for place in range(values.shape[0])], tf.int64)
    return tf.reduce_sum(tf.cast(values, tf.int64) * places)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def _first_frame(image_bytes):
    """End, height and width of the first frame of a GIF: int64 scalars.

    A GIF is a header, an optional colour table, then blocks: extensions (0x21) and frames
    (0x2C: a 10-byte descriptor, an optional colour table, one byte, then data). The data of a
    block is a chain of sub-blocks of up to 255 bytes that ends with an empty one.
    """
    data = tf.io.decode_raw(image_bytes, tf.uint8)
    length = tf.size(data, tf.int64)

    def at(place):
        inside = tf.cast(data[tf.minimum(place, length - 1)], tf.int64)
        return tf.where(place < length, inside, 0)

    def colours(flags):  # bytes of a colour table
        return tf.where(flags >= 128, 3 * 2 ** (flags % 8 + 1), 0)

    def chain_end(place):
        (place,) = tf.while_loop(
            lambda place: at(place) > 0, lambda place: (place + 1 + at(place),), (place,)
        )
        return place + 1

    def next_block(place, _):
        is_frame = at(place) == 0x2C
        after = tf.where(is_frame, place + 11 + colours(at(place + 9)), place + 2)
        return chain_end(after), tf.where(is_frame, place, -1)

    place = 13 + colours(at(tf.constant(10, tf.int64)))
    end, frame = tf.while_loop(
        lambda place, frame: (frame < 0) & ((at(place) == 0x21) | (at(place) == 0x2C)),
        next_block,
        (place, tf.constant(-1, tf.int64)),
    )
    # -1 if there is no frame; the size is then 0 below.
    sides = [at(frame + 5 + i) + 256 * at(frame + 6 + i) for i in (0, 2)]
    width, height = (tf.where(frame < 0, tf.constant(0, tf.int64), side) for side in sides)
    return tf.minimum(end, length), height, width
