"""Decodes encoded images to RGB."""

import functools

import tensorflow as tf

from .headers import (
    begins_with,
    check_bmp_size,
    check_png_size,
    check_size,
    check_webp,
    dependencies,
    file_start,
    first_frame,
    fits,
    is_png,
    is_webp,
    png_fits,
)

FORMATS = "JPEG, PNG, GIF, BMP or WebP"
DECODES_WEBP = hasattr(tf.io, "decode_webp")
WEBP_ADVICE = (
    f"a WebP image, which TensorFlow {tf.__version__} does not decode: convert it to a PNG or JPEG "
    "(`mogrify -format png *.webp`), or install a newer TensorFlow"
)
JPEG_START = b"\xff\xd8\xff"
REDUCTIONS = (1, 2, 4, 8)  # a JPEG decoder can skip the transform's high frequencies


def decode_image(image_bytes: tf.Tensor, least_side: int | None = None) -> tf.Tensor:
    """Decodes JPEG, PNG, GIF (first frame), BMP or WebP to RGB, eagerly or in a graph.

    WebP needs TensorFlow 2.18 or newer.

    Grayscale is repeated in all channels, CMYK is converted, alpha is dropped, 16 bits become
    8, and the EXIF orientation is ignored, in training and serving alike.

    Args:
        image_bytes: string scalar, the encoded file.
        least_side: For images that are downscaled afterwards: a JPEG is decoded at 1/2, 1/4 or
            1/8 scale if its shorter side keeps at least this many pixels. Defaults to full
            scale.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: If the bytes are not such an image, are truncated, or
            declare more than `headers.MAX_PIXELS` pixels, which is checked before decoding.
    """
    image_bytes = tf.convert_to_tensor(image_bytes)
    image = _by_format(image_bytes, least_side, lambda: _decode_other(image_bytes))
    return tf.ensure_shape(image, [None, None, 3])


def decode_in_pipeline(image_bytes: tf.Tensor, least_side: int | None = None) -> tf.Tensor:
    """`decode_image` for `tf.data` pipelines of this process: the same pixels, but faster.

    A pipeline also executes the control flow of branches that are not taken, and GIF, BMP and WebP
    need so much of it that it would slow down every JPEG. Here they are decoded through
    Python, which a saved graph cannot do.

    Args:
        image_bytes: string scalar, the encoded file.
        least_side: As for `decode_image`.

    Returns:
        uint8 `(H, W, 3)`.

    Raises:
        tf.errors.InvalidArgumentError: As `decode_image`.
    """
    image = _by_format(
        image_bytes, least_side, lambda: call_python(decode_image, [image_bytes], tf.uint8)
    )
    return tf.ensure_shape(image, [None, None, 3])


def call_python(function, inputs: list, dtypes):
    """`tf.py_function` that raises the same errors as its ops would in a graph."""

    def call(*arguments):
        try:
            return function(*arguments)
        except tf.errors.OpError as error:
            raise ValueError(error.message) from None  # becomes an InvalidArgumentError outside

    return tf.py_function(call, inputs, dtypes)


def is_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    """Whether a file starts with the JPEG signature: bool scalar."""
    return tf.strings.substr(image_bytes, 0, len(JPEG_START)) == JPEG_START


def jpeg_sides(image_bytes: tf.Tensor) -> tf.Tensor:
    """The int32 (height, width) in a JPEG's header; (1, 1) for other formats."""
    known = tf.where(is_jpeg(image_bytes), image_bytes, _small_jpeg())
    return tf.io.extract_jpeg_shape(known)[:2]


def is_fitting_jpeg(image_bytes: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Whether a file is a JPEG that declares at least one pixel and not too many: bool scalar.

    A progressive one of kilobytes makes the decoder keep all its pixels, at any scale.

    Args:
        image_bytes: string scalar, the file.
        sides: What `jpeg_sides` returns for it.
    """
    return is_jpeg(image_bytes) & fits(*tf.unstack(tf.cast(sides, tf.int64)))


def choose_reduction(side: tf.Tensor, least_side: int) -> tf.Tensor:
    """Index of the largest of `REDUCTIONS` that leaves int32 `side` at least `least_side` pixels."""
    return tf.reduce_sum(tf.cast(side >= [least_side * r for r in REDUCTIONS[1:]], tf.int32))


def _by_format(image_bytes, least_side, other):
    """One switch for all formats and scales; `other` takes all but JPEGs and PNGs of valid size."""
    sides = jpeg_sides(image_bytes)
    known = is_fitting_jpeg(image_bytes, sides) | (is_png(image_bytes) & png_fits(image_bytes))

    def at_full_scale():
        return tf.io.decode_image(image_bytes, channels=3, expand_animations=False)

    if least_side is None:
        return tf.cond(known, at_full_scale, other)
    which = choose_reduction(tf.reduce_min(sides), least_side)
    reduced = (
        lambda r=r: tf.io.decode_jpeg(image_bytes, channels=3, ratio=r) for r in REDUCTIONS[1:]
    )
    return tf.switch_case(
        tf.where(known, which, len(REDUCTIONS)), [at_full_scale, *reduced, other]
    )


def _decode_other(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes GIF, BMP and WebP; raises for all else, JPEGs and PNGs of invalid size among it."""
    start = file_start(image_bytes)
    is_gif, is_bmp = begins_with(start, b"GIF8"), begins_with(start, b"BM")
    is_other = is_png(image_bytes) | is_jpeg(image_bytes)
    is_known = is_gif | is_bmp | is_webp(start) | is_other
    check_jpeg = check_size(*tf.unstack(tf.cast(jpeg_sides(image_bytes), tf.int64)))
    known = tf.debugging.Assert(
        is_known, [f"Not an image: expected the bytes of a {FORMATS} file."]
    )
    with dependencies(check_png_size(image_bytes), check_jpeg, known):
        return tf.case(
            [
                (
                    is_gif,
                    lambda: tf.io.decode_image(
                        first_frame(image_bytes, start), channels=3, expand_animations=False
                    ),
                ),
                (is_webp(start), lambda: _decode_webp(image_bytes, start)),
            ],
            default=lambda: _decode_bmp(image_bytes, start),
        )


def _decode_webp(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    # Not by `tf.io.decode_webp`: an export with an op that older versions lack could not be loaded.
    known = None if DECODES_WEBP else tf.debugging.Assert(~is_webp(start), [WEBP_ADVICE])
    with dependencies(known, check_webp(start)):
        image = tf.io.decode_image(image_bytes, channels=0, expand_animations=False)
    return image[:, :, :3]  # the number of channels of the file is the only one that it takes


def _decode_bmp(image_bytes: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    # TensorFlow's decoder refuses channels=3 unless the file has 24 bits per pixel, and
    # returns palette indices instead of colours for 8 bits.
    with dependencies(check_bmp_size(start)):
        image = tf.io.decode_bmp(image_bytes, channels=0)
    return tf.cond(
        tf.shape(image)[2] == 1,
        lambda: tf.gather(_bmp_palette(image_bytes), tf.cast(image[:, :, 0], tf.int32)),
        lambda: image[:, :, :3],
    )


def _bmp_palette(image_bytes: tf.Tensor) -> tf.Tensor:
    """The colours of an 8-bit BMP, uint8 `(colours, 3)`."""

    def number(place: int) -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(image_bytes, place, 4), tf.int32)[0]

    # From the end of the headers (14 bytes + image header) to the pixels: B, G, R, 0 each.
    start, pixels = 14 + number(14), number(10)
    table = tf.strings.substr(image_bytes, start, (pixels - start) // 4 * 4)
    return tf.reshape(tf.io.decode_raw(table, tf.uint8), [-1, 4])[:, 2::-1]


@functools.cache
def _small_jpeg() -> bytes:
    """A 1 x 1 JPEG that replaces files of other formats when JPEG headers are read."""
    # Not at import: multiple workers must be set up before TensorFlow does anything.
    with tf.init_scope():
        return tf.io.encode_jpeg(tf.zeros([1, 1, 3], tf.uint8)).numpy()
