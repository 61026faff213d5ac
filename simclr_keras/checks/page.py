"""The page of `check_data`: counts, and pictures of what is odd."""

import collections
import os
import pathlib
import typing

import numpy as np
import tensorflow as tf

from ..data.sources import ArraySource
from ..html_page import data_uri, escaped, html_page
from .findings import KINDS, Finding, name_of
from .look import Look, decode, encoded_or_reason

_SIDE = 112  # longer side of a picture in pixels
_MOST_FINDINGS = 60  # of a kind
_MOST_PICTURES = 6  # of a finding
_PICTURED = {
    *("tiny", "across-splits", "duplicates", "near-duplicates", "other-kind", "orientation")
}
_STYLE = """
body { max-width: 1100px; }
td:first-child, th:first-child { text-align: right; }
.grid { display: flex; flex-wrap: wrap; gap: 1rem; }
.group { border: 1px solid var(--line); border-radius: 6px; padding: .5rem; min-width: 0;
  max-width: 100%; }
.group p { margin: .25rem 0 0; font-size: 12px; }
.pictures { display: flex; flex-wrap: wrap; gap: .5rem; }
figure { margin: 0; width: 112px; }
.frame { display: grid; place-items: center; width: 112px; height: 112px;
  background: var(--shade); border-radius: 4px; }
.frame img { max-width: 112px; max-height: 112px; image-rendering: auto; }
figcaption { overflow-wrap: anywhere; font-size: 12px; line-height: 1.3; margin-top: .25rem; }
li { overflow-wrap: anywhere; margin: .15rem 0; }
"""


def write_findings(
    path: str | os.PathLike,
    dataset: str,
    images: int,
    findings: list[Finding],
    looks: dict[str, Look],
) -> pathlib.Path:
    """Writes the page whole or not at all.

    Args:
        path: The `.html` file; its folder is created.
        dataset: The name of the data.
        images: The number of images.
        findings: What is odd, in the order of the kinds.
        looks: What was seen of the images, by part.

    Returns:
        The path.
    """
    by_kind: dict[str, list[Finding]] = collections.defaultdict(list)
    for finding in findings:
        by_kind[finding.kind].append(finding)
    pictures = _Pictures(looks, by_kind)
    with html_page(path, f"What is odd in {dataset}", _STYLE) as page:
        found = f"{len(findings):,} findings" if findings else "nothing odd was found"
        page.write(f'<p class="muted">{images:,} images were looked at; {found}.</p>\n')
        if findings:
            rows = (
                f'<tr><td>{len(each):,}</td><td><a href="#{kind}">{KINDS[kind]}</a></td></tr>\n'
                for kind, each in by_kind.items()
            )
            page.write(f"<table>{''.join(rows)}</table>\n")
        for kind, each in by_kind.items():
            page.write(f'<h2 id="{kind}">{KINDS[kind]}</h2>\n')
            _write_kind(page, each[:_MOST_FINDINGS], pictures if kind in _PICTURED else None)
            if len(each) > _MOST_FINDINGS:
                more = f"{len(each) - _MOST_FINDINGS:,} more: see its JSON output."
                page.write(f'<p class="muted">{more}</p>\n')
    return pathlib.Path(path)


def _write_kind(page: typing.TextIO, findings: list[Finding], pictures) -> None:
    if pictures is None:
        items = (
            f"<li><code>{escaped(finding.names[0])}</code> "
            f'<span class="muted">{escaped(finding.note)}</span></li>\n'
            for finding in findings
        )
        page.write(f"<ul>\n{''.join(items)}</ul>\n")
        return
    page.write('<div class="grid">\n')
    for finding in findings:
        figures = "".join(map(pictures.figure, finding.names[:_MOST_PICTURES]))
        more = len(finding.names) - _MOST_PICTURES
        note = finding.note + (f", {more:,} more" if more > 0 else "")
        page.write(
            f'<div class="group"><div class="pictures">{figures}</div>'
            f'<p class="muted">{escaped(note)}</p></div>\n'
        )
    page.write("</div>\n")


class _Pictures:
    """Small pictures of the images that are named on the page."""

    def __init__(self, looks: dict[str, Look], by_kind: dict[str, list[Finding]]):
        wanted = {
            name
            for kind in _PICTURED & by_kind.keys()
            for finding in by_kind[kind][:_MOST_FINDINGS]
            for name in finding.names[:_MOST_PICTURES]
        }
        self._places = {
            name: (look, index)
            for part, look in looks.items()
            for index in range(len(look.source))
            if (name := name_of(part, look, index)) in wanted
        }

    def figure(self, name: str) -> str:
        """An image with its name, as HTML."""
        content = self._of(*self._places[name])
        shown = "no picture"
        if content is not None:
            shown = f'<img loading="lazy" alt="" src="{data_uri(content)}">'
        caption = f"<figcaption>{escaped(name)}</figcaption>"
        return f'<figure><div class="frame">{shown}</div>{caption}</figure>'

    def _of(self, look: Look, index: int) -> bytes | None:
        source = look.source
        if isinstance(source, ArraySource):
            return _jpeg(tf.image.convert_image_dtype(source.images[index], tf.uint8).numpy())
        content = encoded_or_reason(source, index)
        pixels = content if isinstance(content, str) else decode(content)
        return _jpeg(pixels) if isinstance(pixels, np.ndarray) else None  # it may have changed


def _jpeg(pixels: np.ndarray) -> bytes:
    height, width = pixels.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    sides = [max(1, round(height * scale)), max(1, round(width * scale))]
    small = tf.image.resize(pixels, sides, antialias=True)
    small = tf.cast(tf.clip_by_value(tf.round(small), 0.0, 255.0), tf.uint8)
    return tf.io.encode_jpeg(small if small.shape[-1] in (1, 3) else small[..., :1]).numpy()
