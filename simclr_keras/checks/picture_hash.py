"""`difference_hash` of pictures, and pairs of pictures whose hashes are almost equal.

H = 64 bits of a hash, of which near-duplicates may differ in up to k.
"""

import numpy as np
import tensorflow as tf

BITS = 64
_LEAST_SIDE = 16  # of a smaller picture the hash says too little
_MOST_COLOUR = 24  # of 255: largest difference of mean colours of near-duplicates
_GRAY = (0.299, 0.587, 0.114)
_AT_ONCE = 2**22  # comparisons
_ONES = np.array([bin(number).count("1") for number in range(2**16)], np.uint8)


def difference_hash(pixels: np.ndarray) -> tuple[int, np.ndarray]:
    """The difference hash of a picture, and its mean colour.

    The picture is averaged to 9 x 8 gray pixels; each bit says whether a pixel is darker than its
    right neighbour. What is written again at another quality or size has almost the same bits.

    Args:
        pixels: uint8 RGB `(H, W, 3)`.

    Returns:
        64 bits, 0 for a plain or very small picture, which are like any other; and uint8 `(3,)`.

    Reference:
        Krawetz 2013, "Kind of Like That" (dHash),
        https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html
    """
    small = tf.raw_ops.ResizeArea(images=pixels[None], size=[8, 9]).numpy()[0]  # (8, 9, 3)
    mean = np.round(small.mean((0, 1))).astype(np.uint8)
    if min(pixels.shape[:2]) < _LEAST_SIDE:
        return 0, mean
    gray = small @ np.array(_GRAY, np.float32)
    bits = gray[:, :-1] + 0.5 < gray[:, 1:]  # rounding is no difference
    return int.from_bytes(np.packbits(bits).tobytes(), "big"), mean


def near_pairs(hashes: np.ndarray, means: np.ndarray, bits: int) -> np.ndarray:
    """Pairs of pictures whose hashes differ in few bits, and whose mean colours are close.

    If two hashes differ in up to k bits, they agree in one of any k + 1 parts: only hashes that
    share a part are compared, so the work grows with N and not with N^2, unless most pictures are
    alike. Equal hashes are compared with the first of them only.

    Args:
        hashes: uint64 `(N,)`; 0 is like no other.
        means: uint8 `(N, 3)`.
        bits: k.

    Returns:
        int64 `(P, 2)`; the pictures that are connected by pairs are alike.
    """
    known = np.flatnonzero(hashes)
    # Pictures of the same hash and almost the same colour: neighbours in this order.
    order = known[np.lexsort((*means[known].T, hashes[known]))]
    same = hashes[order[1:]] == hashes[order[:-1]]
    pairs = [_close(np.stack([order[:-1][same], order[1:][same]], axis=1), means)]
    firsts = order[np.flatnonzero(~np.concatenate([[False], same]))[: len(order)]]
    edges = np.linspace(0, BITS, bits + 2).astype(int)
    for low, high in zip(edges[:-1], edges[1:]) if bits else ():
        part = (hashes[firsts] >> np.uint64(low)) & np.uint64(2 ** int(high - low) - 1)
        by_part = np.argsort(part, kind="stable")
        bounds = [0, *(np.flatnonzero(np.diff(part[by_part])) + 1), len(firsts)]
        for start in np.flatnonzero(np.diff(bounds) > 1):
            bucket = firsts[by_part[bounds[start] : bounds[start + 1]]]
            pairs.append(_close(_within(bucket, hashes, bits), means))
    return np.concatenate(pairs)


def _within(bucket: np.ndarray, hashes: np.ndarray, bits: int) -> np.ndarray:
    """All pairs in a bucket that differ in up to so many bits, a block of rows at a time."""
    values, found = hashes[bucket], []
    rows = max(1, _AT_ONCE // len(bucket))
    for top in range(0, len(bucket), rows):
        different = values[top : top + rows, None] ^ values[None, :]
        count = _ONES[different.view(np.uint16)].reshape(*different.shape, 4).sum(-1)
        left, right = np.nonzero(count <= bits)
        later = left + top < right
        found.append(np.stack([bucket[left[later] + top], bucket[right[later]]], axis=1))
    return np.concatenate(found)


def _close(pairs: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The pairs of similar mean colour."""
    left, right = means[pairs[:, 0]].astype(int), means[pairs[:, 1]].astype(int)
    return pairs[(np.abs(left - right) <= _MOST_COLOUR).all(axis=1)]
