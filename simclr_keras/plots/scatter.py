"""`scatter`: points in the plane, coloured by class, as SVG."""

from collections.abc import Sequence

import numpy as np

from ..html_page import escaped
from .svg import colour, key, shortened

_WIDTH, _HEIGHT, _MARGIN = 800, 520, 10
_CLASSES_SHOWN = 30  # in the legend

SCATTER_STYLE = """
.map circle { stroke: var(--paper); stroke-width: .75; }
.map circle.of:hover { stroke: var(--ink); stroke-width: 2; }
.map.one circle:not(.chosen) { opacity: .12; }
.map output { display: block; min-height: 1.5em; font-size: 13px; }
.map .key { cursor: pointer; font-size: 13px; }
.map { margin: 0; }
"""
SCATTER_SCRIPT = """
for (const map of document.querySelectorAll('.map')) {
  const output = map.querySelector('output'), points = map.querySelectorAll('circle');
  const hint = output.textContent;
  const say = event => {
    const title = event.target.querySelector && event.target.closest('circle');
    output.textContent = title ? title.textContent : hint;
  };
  map.querySelector('svg').addEventListener('pointerover', say);
  map.querySelector('svg').addEventListener('pointerdown', say);
  map.querySelectorAll('.key').forEach(key => {
    const of = key.parentElement.dataset.class;
    const choose = on => {
      map.classList.toggle('one', on);
      points.forEach(p => p.classList.toggle('chosen', on && p.dataset.c === of));
    };
    key.addEventListener('pointerenter', () => choose(true));
    key.addEventListener('pointerleave', () => choose(false));
  });
}
"""


def scatter(
    places: Sequence[Sequence[float]],
    names: Sequence[str],
    labels: Sequence[int],
    class_names: Sequence[str],
) -> str:
    """Draws points; each says what it is, and the legend shows one class alone.

    Args:
        places: (x, y) of each point.
        names: The name of each.
        labels: The class of each; -1 means none.
        class_names: A name for each class.

    Returns:
        An HTML figure; the page needs `SCATTER_STYLE` and `SCATTER_SCRIPT`.
    """
    points = np.asarray(places, float)
    low, span = points.min(axis=0), np.ptp(points, axis=0)
    size = np.array([_WIDTH, _HEIGHT]) - 2 * _MARGIN
    points = _MARGIN + (points - low) / np.where(span > 0, span, 1.0) * size
    present = sorted({label for label in labels if label >= 0})
    colours = {label: colour(i, len(present)) for i, label in enumerate(present)}
    circles = []
    for (x, y), name, label in zip(points, names, labels):
        title = f"{class_names[label]}: {name}" if label >= 0 else name
        circles.append(
            f'<circle class="of" cx="{x:.0f}" cy="{y:.0f}" r="5" data-c="{label}" '
            f'fill="{colours.get(label, "var(--c0)")}"><title>{escaped(title)}</title></circle>'
        )
    keys = "".join(
        f'<span data-class="{label}">{key(shortened(class_names[label], 24), colours[label])}</span>'
        for label in present[:_CLASSES_SHOWN]
    )
    more = len(present) - _CLASSES_SHOWN
    keys += f'<span class="muted">and {more} more</span>' if more > 0 else ""
    return (
        '<figure class="map"><output class="muted">Point at an image, or at a class below.</output>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Map of the features">'
        f"{''.join(circles)}</svg><figcaption>{keys}</figcaption></figure>\n"
    )
