"""Small pictures of many images in few JPEGs: sprite sheets."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from ..progress import counted
from ..seeds import generator
from .pictures import Pictures, encode_picture

SIDE = 80  # pixels of a picture
COLUMNS = 25  # pictures in a row of a sheet: 2,000 pixels, which every browser can draw
_ON_A_SHEET = COLUMNS * COLUMNS
_QUALITY = 80
_CELLS = 64  # in each direction of the map, from which pictures are chosen in turn


def choose_shown(places: np.ndarray, first: Sequence[int], most: int, seed: int) -> np.ndarray:
    """Chooses the images that have pictures, so that wherever one looks there are some.

    Args:
        places: float `(N, 2)` in [-1, 1], on the map.
        first: Images that lists on the page show; they take up to half of the pictures.
        most: How many.
        seed: Decides which image of a cell of the map comes first.

    Returns:
        int64 indices, the most needed first: of the others, one from each cell of the map, in
        random order, before any cell gives a second.
    """
    listed = np.array(list(dict.fromkeys(first)), np.int64)
    listed = listed[: most if len(places) <= most else most // 2]
    cells = np.minimum(((places + 1) / 2 * _CELLS).astype(np.int64), _CELLS - 1)
    cell = cells[:, 0] * _CELLS + cells[:, 1]
    order = generator(seed).permutation(len(places))
    order = order[~np.isin(order, listed)]
    position = np.argsort(cell[order], kind="stable")
    by_cell = order[position]
    _, starts, sizes = np.unique(cell[by_cell], return_index=True, return_counts=True)
    turn = np.arange(len(by_cell)) - np.repeat(starts, sizes)
    others = by_cell[np.lexsort((position, turn))]
    return np.concatenate([listed, others])[:most]


def sprite_sheets(
    names: Sequence[str], chosen: np.ndarray, pictures: Pictures
) -> tuple[list[int], list[bytes]]:
    """Draws the pictures of images on sheets of 25 x 25.

    Args:
        names: Of all images.
        chosen: Indices of those to draw.
        pictures: Where they come from.

    Returns:
        The indices of the images drawn, those without a picture left out, and the sheets as
        JPEGs: the picture of the n-th image is on sheet n // 625, in row n % 625 // 25.
    """
    drawn: list[int] = []
    sheets: list[bytes] = []
    waiting: list[np.ndarray] = []
    if not pictures.is_of_files or not len(chosen):
        return drawn, sheets
    with counted("Drawing", len(chosen), "pictures") as show:
        for done, index in enumerate(chosen.tolist(), 1):
            square = pictures.square(names[index], SIDE)
            if square is not None:
                drawn.append(index)
                waiting.append(np.asarray(square))
            if len(waiting) == _ON_A_SHEET:
                sheets.append(_sheet(waiting))
                waiting = []
            show(done)
    return drawn, sheets + ([_sheet(waiting)] if waiting else [])


def _sheet(squares: list[np.ndarray]) -> bytes:
    rows = -(-len(squares) // COLUMNS)
    sheet = np.zeros((rows * COLUMNS, SIDE, SIDE, 3), np.float32)
    sheet[: len(squares)] = squares
    sheet = sheet.reshape(rows, COLUMNS, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return encode_picture(tf.constant(sheet.reshape(rows * SIDE, COLUMNS * SIDE, 3)), _QUALITY)
