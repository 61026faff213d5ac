"""Random resized crops: chooses a box and resamples its pixels to a square.

N images, H x W pixels, C channels, S the height and width of the view. "Planes" are
`(N, C, S, S)`: channel, column, row. Each channel is then contiguous in memory, which vector
units process fast, and the second resampling pass is the same as the first.
"""

import math

import tensorflow as tf

CANDIDATES = 10  # as in torchvision; the first that fits inside the image is used
UNIFORMS = 2 * CANDIDATES + 2
# Half the width of each kernel at scale 1, in pixels.
INTERPOLATIONS = {"bilinear": 1.0, "bicubic": 2.0}


def crop_candidates(
    uniforms: tf.Tensor,
    area: tuple[float, float] = (0.08, 1.0),
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> tf.Tensor:
    """Ten candidate shapes for an "Inception-style" random crop (Chen et al. 2020, Appendix A).

    The area of each is uniform in `area`, its aspect ratio log-uniform in `aspect`. Computed in
    float64, so that no compiler's rounding moves a box by a pixel.

    Args:
        uniforms: float32 `(N, 22)` in [0, 1): ten areas, ten aspect ratios, top, left.
        area: Minimum and maximum share of the image, in (0, 1].
        aspect: Minimum and maximum width / height.

    Returns:
        float64 `(N, 22)`: ten heights and ten widths for an image of area 1, then top and left.
    """
    uniforms = tf.cast(uniforms, tf.float64)
    areas = area[0] + uniforms[:, :CANDIDATES] * (area[1] - area[0])  # (N, 10)
    low, high = math.log(aspect[0]), math.log(aspect[1])
    ratios = tf.exp(low + uniforms[:, CANDIDATES : 2 * CANDIDATES] * (high - low))
    return tf.concat(
        [tf.sqrt(areas / ratios), tf.sqrt(areas * ratios), uniforms[:, 2 * CANDIDATES :]],
        axis=1,
    )


def crop_boxes(
    candidates: tf.Tensor,
    height: tf.Tensor,
    width: tf.Tensor,
    aspect: tuple[float, float] = (3 / 4, 4 / 3),
) -> tf.Tensor:
    """The first candidate that fits inside each image, placed uniformly.

    If none fits, the box is the largest central one with an allowed aspect ratio.

    Args:
        candidates: float64 `(N, 22)` from `crop_candidates`.
        height: Image height in pixels, an integer.
        width: Image width in pixels, an integer.
        aspect: Minimum and maximum width / height.

    Returns:
        float32 `(N, 4)` of whole numbers: top, left, height, width.
    """
    sides = tf.cast(tf.stack([height, width]), tf.float64)  # (2,)
    shapes = tf.stack(
        [candidates[:, :CANDIDATES], candidates[:, CANDIDATES : 2 * CANDIDATES]], axis=2
    )  # (N, 10, 2)
    # The last candidate always fits: the centre crop.
    central = tf.round(sides[::-1] * tf.constant([1 / aspect[0], aspect[1]], tf.float64))
    central = tf.broadcast_to(tf.minimum(sides, central), tf.shape(shapes[:, :1]))
    shapes = tf.concat([tf.round(shapes * tf.sqrt(sides[0] * sides[1])), central], axis=1)
    # At least one pixel: an 8 % crop of a very small image would round to nothing.
    shapes = tf.maximum(shapes, 1.0)
    first = tf.argmax(tf.reduce_all(shapes <= sides, axis=2), axis=1)  # (N,)
    chosen = tf.gather(shapes, first, axis=1, batch_dims=1)  # (N, 2)
    free = sides - chosen
    corner = tf.floor(candidates[:, 2 * CANDIDATES :] * (free + 1.0))
    none_fits = (first == CANDIDATES)[:, None]
    corner = tf.where(none_fits, tf.floor(free / 2.0), corner)
    return tf.cast(tf.concat([corner, chosen], axis=1), tf.float32)


def crop_rows(images: tf.Tensor, boxes: tf.Tensor, size: int, interpolation: str) -> tf.Tensor:
    """Resamples the rows of each box to S: `(N, H, W, C), (N, 4) -> (N, S, W, C)`.

    uint8 images become floating-point in 0-1.
    """
    width, channels = images.shape[2], images.shape[3]
    scale = 1.0 / 255.0 if images.dtype == tf.uint8 else 1.0
    shape = tf.shape(images)
    rows = tf.reshape(images, [shape[0], shape[1], shape[2] * channels])
    rows = _resample(rows, boxes[:, 0], boxes[:, 2], size, interpolation) * scale
    rows = tf.reshape(rows, [shape[0], size, shape[2], channels])
    return tf.ensure_shape(rows, [None, size, width, channels])


def crop_columns(
    rows: tf.Tensor, boxes: tf.Tensor, flip: tf.Tensor, size: int, interpolation: str
) -> tf.Tensor:
    """Resamples the columns of each box to S, mirrored where `flip` is True.

    `(N, S, W, C), (N, 4), (N,) -> (N, C, S, S)` planes.
    """
    channels = rows.shape[3]
    shape = tf.shape(rows)
    columns = tf.transpose(rows, [0, 2, 3, 1])  # (N, W, C, S)
    columns = tf.reshape(columns, [shape[0], shape[2], channels * size])
    columns = _resample(columns, boxes[:, 1], boxes[:, 3], size, interpolation, flip)
    # Bicubic weights may overshoot.
    columns = tf.clip_by_value(columns, 0.0, 1.0)
    columns = tf.reshape(columns, [shape[0], size, channels, size])
    return tf.transpose(columns, [0, 2, 1, 3])


def to_planes(images: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    """Converts images of either range to float32 planes in [0, 1], mirrored where `flip`.

    `(N, S, S, C), (N,) -> (N, C, S, S)`.
    """
    scale = 1.0 / 255.0 if images.dtype == tf.uint8 else 1.0
    planes = tf.cast(tf.transpose(images, [0, 3, 2, 1]), tf.float32) * scale
    return tf.where(flip[:, None, None, None], planes[:, :, ::-1], planes)


def to_images(planes: tf.Tensor) -> tf.Tensor:
    """Converts planes `(N, C, S, S)` to images `(N, S, S, C)`."""
    return tf.transpose(planes, [0, 3, 2, 1])


def _resample(
    lines: tf.Tensor,
    start: tf.Tensor,
    length: tf.Tensor,
    size: int,
    interpolation: str,
    backwards: tf.Tensor | None = None,
) -> tf.Tensor:
    """Resamples [start, start + length) of the L lines of each image to S lines.

    Does what antialiased `tf.image.resize` does, as a sum over the few lines that each result
    reads: `tf.image.crop_and_resize` neither antialiases nor compiles with XLA, and a matrix
    product would multiply mostly zeros.

    Args:
        lines: uint8 or floating `(N, L, M)`.
        start: float32 `(N,)`, whole numbers.
        length: float32 `(N,)`, whole numbers.
        size: S.
        interpolation: A key of `INTERPOLATIONS`.
        backwards: bool `(N,)`: True reverses the results. Defaults to no reversal.

    Returns:
        float32 `(N, S, M)`, in the range of `lines`.
    """
    count = lines.shape[1]
    if count is None:
        raise ValueError(
            "`images` must have a known height and width. Received: a batch of unknown size"
        )
    support = INTERPOLATIONS[interpolation]
    taps = math.ceil(2 * support * max(1.0, count / size))
    scale = (length / size)[:, None]  # (N, 1) lines per result
    centres = start[:, None] + (tf.range(size, dtype=tf.float32) + 0.5) * scale  # (N, S)
    if backwards is not None:
        centres = tf.where(backwards[:, None], centres[:, ::-1], centres)
    reach = support * tf.maximum(scale, 1.0)  # (N, 1), half the kernel
    first = tf.floor(centres - reach + 0.5)
    reads = first[:, None] + tf.range(taps, dtype=tf.float32)[:, None]  # (N, taps, S)
    distance = tf.abs(reads + 0.5 - centres[:, None]) / (reach / support)[:, :, None]
    inside = (reads >= start[:, None, None]) & (reads < (start + length)[:, None, None])
    weights = tf.where(inside, _kernel(distance, interpolation), 0.0)
    weights /= tf.reduce_sum(weights, axis=1, keepdims=True)
    reads = tf.cast(tf.clip_by_value(reads, 0.0, count - 1.0), tf.int32)
    return tf.add_n(
        [
            tf.cast(tf.gather(lines, reads[:, tap], axis=1, batch_dims=1), tf.float32)
            * weights[:, tap, :, None]
            for tap in range(taps)
        ]
    )


def _kernel(distance: tf.Tensor, interpolation: str) -> tf.Tensor:
    if interpolation == "bilinear":
        return tf.maximum(1.0 - distance, 0.0)
    # Keys' cubic with a = -1/2, as in tf.image.resize.
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((2.5 - 0.5 * distance) * distance - 4.0) * distance + 2.0
    return tf.where(distance < 1.0, near, tf.where(distance < 2.0, far, 0.0))
