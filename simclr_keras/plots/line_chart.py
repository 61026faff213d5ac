"""`line_chart`: curves as SVG, with the values under the pointer; no library, light and dark."""

import dataclasses
import json
import math
from collections.abc import Sequence

from ..html_page import escaped
from .svg import colour, key, number_text, percent_text, ticks

_WIDTH, _HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 34
_MOST_POINTS = 400  # of a line: more than its pixels

CHART_STYLE = """
.charts { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.chart { margin: 0; padding: .75rem .75rem .25rem; min-width: 0;
  border: 1px solid var(--line); border-radius: 8px; }
.chart figcaption { font-weight: 600; line-height: 1.3; }
.chart small { display: block; font-weight: 400; color: var(--muted); font-size: 12.5px; }
.chart output { display: block; min-height: 1.5em; font-size: 12.5px; margin: .25rem 0;
  font-variant-numeric: tabular-nums; }
.chart svg { touch-action: pan-y; }
.chart polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.chart .reference { stroke: var(--muted); stroke-dasharray: 5 4; stroke-width: 1.5; }
.chart .cursor { stroke: var(--ink); stroke-width: 1; visibility: hidden; }
"""
CHART_SCRIPT = """
for (const chart of document.querySelectorAll('.chart[data-points]')) {
  const points = JSON.parse(chart.dataset.points), svg = chart.querySelector('svg');
  const cursor = chart.querySelector('.cursor'), output = chart.querySelector('output');
  const last = output.textContent;
  const show = event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    const [at, text] = points.reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
    cursor.setAttribute('x1', at); cursor.setAttribute('x2', at);
    cursor.style.visibility = 'visible'; output.textContent = text;
  };
  svg.addEventListener('pointermove', show);
  svg.addEventListener('pointerdown', show);
  svg.addEventListener('pointerleave', () => {
    cursor.style.visibility = 'hidden'; output.textContent = last;
  });
}
"""


@dataclasses.dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: What the legend says.
        points: (x, y), by x; those that are not finite are left out.
        band: (low, high) at each point, shaded.
    """

    name: str
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float]] | None = None


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_name: str = "step",
    note: str = "",
    level: tuple[str, float] | None = None,
    percent: bool = False,
    log_x: bool = False,
) -> str:
    """Draws curves with axes, a legend, and the last values, or those under the pointer.

    Args:
        title: What is drawn.
        lines: The curves.
        x_name: What x counts.
        note: What the curves mean, in a few words.
        level: Name and y of a dashed line.
        percent: Whether y is a share.
        log_x: Whether x, which is then positive, has a logarithmic axis.

    Returns:
        An HTML figure; the page needs `CHART_STYLE` and `CHART_SCRIPT`. Empty without points.
    """
    drawn = [line for line in map(_finite, lines) if line.points]
    if not drawn:
        return ""
    text = percent_text if percent else number_text
    x_of, x_ticks = _x_axis([x for line in drawn for x, _ in line.points], log_x)
    y_of, y_ticks = _y_axis(drawn, level, percent)
    bottom = _HEIGHT - _BOTTOM
    parts = [
        *(_y_grid(y_of(y), text(y)) for y in y_ticks),
        *(_x_mark(x_of(x), number_text(x), bottom) for x in x_ticks),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 3}" text-anchor="middle">'
        f"{escaped(x_name)}</text>",
    ]
    keys = []
    if level:
        y = y_of(level[1])
        parts.append(
            f'<line class="reference" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        keys.append(key(f"{level[0]} {text(level[1])}", None))
    for number, line in enumerate(drawn):
        parts += _curve(line, x_of, y_of, colour(number))
    if len(drawn) > 1 or level:
        keys = [key(line.name, colour(i)) for i, line in enumerate(drawn)] + keys
    values = _values(drawn, x_of, x_name, text)
    return (
        f'<figure class="chart" data-points="{escaped(json.dumps(values))}">'
        f"<figcaption>{escaped(title)}<small>{escaped(note)}</small>"
        f"<small>{''.join(keys)}</small></figcaption>"
        f"<output>{escaped(values[-1][1])}</output>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(title)}">'
        f'{"".join(parts)}<line class="cursor" y1="{_TOP}" y2="{bottom}"/></svg></figure>\n'
    )


def _finite(line: Line) -> Line:
    """Without points that are not finite, and with no more than can be seen."""
    kept = [i for i, point in enumerate(line.points) if all(map(math.isfinite, point))]
    if len(kept) > _MOST_POINTS:
        stride = (len(kept) - 1) / (_MOST_POINTS - 1)
        kept = [kept[round(i * stride)] for i in range(_MOST_POINTS)]
    band = [line.band[i] for i in kept] if line.band else None
    return Line(line.name, [line.points[i] for i in kept], band)


def _x_axis(values: list[float], log: bool):
    low, high = min(values), max(values)
    marks = ticks(low, high, 4)
    if log:
        marks, apart = [low], (high / low) ** (1 / 8)
        for x in sorted(set(values)):
            if x >= apart * marks[-1]:
                marks.append(x)
        low, high = math.log(low), math.log(high)
    span = (high - low) or 1.0

    def place(x: float) -> float:
        share = ((math.log(x) if log else x) - low) / span
        return _LEFT + 6 + share * (_WIDTH - _LEFT - _RIGHT - 18)

    return place, marks


def _y_axis(lines: list[Line], level, percent: bool):
    values = [y for line in lines for _, y in line.points]
    values += [y for line in lines if line.band for pair in line.band for y in pair]
    values += [level[1]] if level else []
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin
    if percent:
        low, high = max(low, 0.0), min(high, 1.0)
    elif min(values) >= 0:
        low = max(low, 0.0)
    bottom = _HEIGHT - _BOTTOM
    return (lambda y: bottom - (y - low) / (high - low) * (bottom - _TOP)), ticks(low, high, 4)


def _y_grid(y: float, text: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _x_mark(x: float, text: str, bottom: float) -> str:
    return f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{text}</text>'


def _curve(line: Line, x_of, y_of, stroke: str) -> list[str]:
    found = []
    if line.band:
        edge = [
            *((x, high) for (x, _), (_, high) in zip(line.points, line.band)),
            *((x, low) for (x, _), (low, _) in reversed(list(zip(line.points, line.band)))),
        ]
        found.append(
            f'<polygon points="{_places(edge, x_of, y_of)}" style="fill:{stroke};opacity:.18"/>'
        )
    places = _places(line.points, x_of, y_of)
    found.append(f'<polyline points="{places}" style="stroke:{stroke}"/>')
    if len(line.points) <= 40:
        found += [
            f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.6" style="fill:{stroke}"/>'
            for x, y in line.points
        ]
    return found


def _places(points, x_of, y_of) -> str:
    return " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)


def _values(lines: list[Line], x_of, x_name: str, text) -> list[tuple[float, str]]:
    """For each x, its place and what to say there."""
    at: dict[float, list[str]] = {}
    for line in lines:
        for place, (x, y) in enumerate(line.points):
            name = f"{line.name} " if len(lines) > 1 else ""
            margin = ""
            if line.band:
                low, high = line.band[place]
                margin = f" ({text(low)} to {text(high)})"
            at.setdefault(x, []).append(f"{name}{text(y)}{margin}")
    return [
        (round(x_of(x), 1), f"{x_name} {number_text(x)}: {', '.join(found)}")
        for x, found in sorted(at.items())
    ]
