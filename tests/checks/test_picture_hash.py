import io

import numpy as np
import pytest
from PIL import Image
from zoo import encode

from simclr_keras.checks.groups import groups_of
from simclr_keras.checks.picture_hash import difference_hash, near_pairs


def _picture(seed, size=(200, 160)):
    return Image.open(io.BytesIO(encode("PNG", size, seed=seed)))


def _hash(image):
    return difference_hash(np.asarray(image.convert("RGB")))


def _differences(a, b):
    return bin(a ^ b).count("1")


def test_a_known_hash():
    """Columns that get brighter from left to right: each pixel is darker than its right neighbour."""
    ramp = np.repeat(np.arange(0, 180, 2, dtype=np.uint8)[None, :, None], 80, 0).repeat(3, 2)
    assert difference_hash(ramp)[0] == 2**64 - 1
    falling, mean = difference_hash(ramp[:, ::-1].copy())
    assert falling == 0 and mean.tolist() == [89, 89, 89]
    half = np.concatenate([ramp, ramp[:, ::-1]])
    assert difference_hash(half)[0] == 2**64 - 2**32  # the upper four rows


def test_plain_and_very_small_pictures_have_none():
    assert difference_hash(np.full((50, 50, 3), 7, np.uint8))[0] == 0
    assert _hash(_picture(0, (15, 40)))[0] == 0 and _hash(_picture(0, (16, 40)))[0] != 0


@pytest.mark.parametrize("seed", range(4))
def test_the_same_photo_written_again_is_near_and_others_are_far(seed):
    photo, stream = _picture(seed), io.BytesIO()
    photo.resize((120, 96)).convert("RGB").save(stream, "JPEG", quality=60)
    again = Image.open(stream)
    assert _differences(_hash(photo)[0], _hash(again)[0]) <= 3
    assert _differences(_hash(photo)[0], _hash(_picture(seed + 50))[0]) > 12


def test_pairs_are_those_of_all_comparisons(rng):
    hashes = rng.integers(1, 2**63, 60, dtype=np.uint64)
    means = np.full((200, 3), 100, np.uint8)
    flips = [
        np.uint64(sum(1 << int(bit) for bit in rng.choice(64, count, replace=False)))
        for count in rng.integers(0, 6, 140)
    ]
    hashes = np.concatenate([hashes, hashes[rng.integers(0, 60, 140)] ^ np.array(flips)])
    for bits in (0, 1, 3, 8):
        expected = [
            (i, j)
            for i in range(200)
            for j in range(i)
            if _differences(int(hashes[i]), int(hashes[j])) <= bits
        ]
        found, slow = (
            groups_of(np.array(pairs).reshape(-1, 2), 200)
            for pairs in (near_pairs(hashes, means, bits), expected)
        )
        assert [g.tolist() for g in found] == [g.tolist() for g in slow] and len(found) > 5


def test_colours_must_be_close_and_no_hash_is_like_no_other():
    hashes = np.array([5, 5, 5, 0, 0], np.uint64)
    means = np.array([[10] * 3, [20] * 3, [200] * 3, [0] * 3, [0] * 3], np.uint8)
    assert near_pairs(hashes, means, 3).tolist() == [[0, 1]]
    nothing = near_pairs(hashes[3:], means[3:], 3)
    assert nothing.shape == (0, 2) and groups_of(nothing, 2) == []


def test_many_pictures_of_one_hash_need_few_comparisons():
    count = 100_000
    hashes, means = np.full(count, 3, np.uint64), np.zeros((count, 3), np.uint8)
    (group,) = groups_of(near_pairs(hashes, means, 3), count)
    assert len(group) == count
