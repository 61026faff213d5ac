"""Writes the page of `map_embeddings`: its content, and the style and scripts of `map_assets/`."""

import base64
import dataclasses
import importlib.resources
import os
import pathlib

import numpy as np

from ..html_page import data_uri, embedded_json, html_page
from .sprites import COLUMNS, SIDE

_ASSETS = importlib.resources.files("simclr_keras.embeddings") / "map_assets"
_SCRIPTS = ("data.js", "grid.js", "points.js", "view.js", "panel.js", "page.js")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapContent:
    """What the page shows; N images with k neighbours each.

    Attributes:
        title: The heading.
        names: Of all images; text, whatever it looks like.
        places: float `(N, 2)` in [-1, 1].
        folder: int `(N,)` indices into `folders`.
        folders: Names of class folders.
        cluster: int `(N,)` from 0.
        neighbours: int `(N, k)`.
        cosines: float `(N, k)`.
        outliers: int indices, the farthest first.
        distances: float, of each outlier.
        groups: Near-duplicates.
        drawn: Images on the sheets, in their order.
        sheets: JPEGs, see `sprites.sprite_sheets`.
        notes: How the map was made.
    """

    title: str
    names: list[str]
    places: np.ndarray
    folder: np.ndarray
    folders: list[str]
    cluster: np.ndarray
    neighbours: np.ndarray
    cosines: np.ndarray
    outliers: np.ndarray
    distances: np.ndarray
    groups: list[list[int]]
    drawn: list[int]
    sheets: list[bytes]
    notes: list[str]


def write_map_page(path: str | os.PathLike, content: MapContent) -> pathlib.Path:
    """Writes the page whole or not at all; nothing beside the file is needed to look at it.

    Args:
        path: The `.html` file; its folder is created.
        content: What it shows.

    Returns:
        The path.
    """
    facts = {
        "names": content.names,
        "folders": content.folders,
        "neighbours": content.neighbours.shape[1],
        "groups": content.groups,
        "notes": content.notes,
        "side": SIDE,
        "columns": COLUMNS,
    }
    arrays = {
        "places": content.places.astype("<f4"),
        "folder-of": content.folder.astype("<u4"),
        "cluster-of": content.cluster.astype("<u4"),
        "neighbours-of": content.neighbours.astype("<u4"),
        "cosines-of": content.cosines.astype("<f4"),
        "outliers": content.outliers.astype("<u4"),
        "distances": content.distances.astype("<f4"),
        "drawn": np.asarray(content.drawn, "<u4"),
    }
    with html_page(path, content.title, _asset("map.css")) as page:
        page.write(_asset("map.html"))
        page.write(embedded_json("facts", facts))
        for name, array in arrays.items():
            text = base64.b64encode(array.tobytes()).decode()
            page.write(f'<script type="text/plain" id="{name}">{text}</script>\n')
        for sheet in content.sheets:
            page.write(f'<img class="sheet" hidden alt="" src="{data_uri(sheet)}">\n')
        for script in _SCRIPTS:
            page.write(f"<script>\n{_asset(script)}</script>\n")
    return pathlib.Path(path)


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")
