"""`histogram`: the values that were drawn, with the density that was intended, as SVG."""

from collections.abc import Mapping

import numpy as np

from ..html_page import escaped
from .svg import number_text, percent_text, ticks

_WIDTH, _HEIGHT, _BOTTOM, _MARGIN = 300, 110, 20, 12
_BINS = 40

HISTOGRAM_STYLE = """
.draws { display: grid; gap: 1rem 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
.draws figure { margin: 0; } .draws rect { fill: var(--c0); opacity: .55; }
.draws path { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.draws figcaption { font-size: 13px; } .draws b { display: block; }
.bar { position: relative; height: .9rem; min-width: 7rem; background: var(--shade);
  border-radius: 3px; }
.bar > i { position: absolute; inset: 0 auto 0 0; background: var(--c0); opacity: .6;
  border-radius: 3px; }
.bar > u { position: absolute; top: -2px; bottom: -2px; width: 2px; background: var(--ink); }
"""


def counts_of(values: np.ndarray, intended: tuple[float, float] | None = None) -> dict:
    """What `histogram` needs of the values, as JSON takes it.

    Args:
        values: `(n,)`, n at least 1; integers are counted one by one.
        intended: Minimum and maximum of what should be uniform.

    Returns:
        `counts` in bins of one width from `low` to `high`, the number `n`, `mean`, `least` and
        `most` of the values, and `intended`.
    """
    whole = bool(np.issubdtype(values.dtype, np.integer))
    low, high = float(values.min()), float(values.max())
    edges = (low - 0.5, high + 0.5) if whole else (low, high)
    counts, found = np.histogram(values, int(high - low) + 1 if whole else _BINS, edges)
    return {
        "counts": counts.tolist(),
        "low": float(found[0]),
        "high": float(found[-1]),
        "n": len(values),
        "mean": float(values.mean()),
        "least": low,
        "most": high,
        "intended": None if intended is None else [float(end) for end in intended],
    }


def histogram(title: str, found: Mapping, words: str) -> str:
    """A histogram as bars; the intended density is a line.

    Args:
        title: The parameter.
        found: What `counts_of` returned.
        words: What it means.

    Returns:
        An HTML figure; the page needs `HISTOGRAM_STYLE`.
    """
    counts, (first, last) = found["counts"], (found["low"], found["high"])
    width = (last - first) / len(counts) or 1.0
    density = [count / (found["n"] * width) for count in counts]
    ends = found["intended"]
    intended = 1 / (ends[1] - ends[0]) if ends else 0.0
    low, high = (min(first, ends[0]), max(last, ends[1])) if ends else (first, last)
    top = 1.1 * max([*density, intended])
    bottom = _HEIGHT - _BOTTOM

    def x_of(x: float) -> float:
        return _MARGIN + (x - low) / ((high - low) or 1.0) * (_WIDTH - 2 * _MARGIN)

    def y_of(y: float) -> float:
        return bottom * (1 - y / top)

    bars = "".join(
        f'<rect x="{x_of(first + i * width):.1f}" y="{y_of(y):.1f}" '
        f'width="{x_of(first + width) - x_of(first):.2f}" height="{bottom - y_of(y):.1f}"/>'
        for i, y in enumerate(density)
    )
    marks = "".join(
        f'<text x="{x_of(x):.1f}" y="{_HEIGHT - 5}" text-anchor="middle">'
        f"{number_text(round(x, 9))}</text>"
        for x in ticks(low, high, 5)
    )
    line = ""
    if ends:
        line = (
            f'<path d="M{x_of(ends[0]):.1f} {bottom}V{y_of(intended):.1f}'
            f'H{x_of(ends[1]):.1f}V{bottom}"/>'
        )
    drawn = f"{found['n']:,} draws from {found['least']:.3g} to {found['most']:.3g}"
    if ends:
        drawn += f"; intended: uniform from {ends[0]:.3g} to {ends[1]:.3g}"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escaped(title)}">'
        f'<line class="grid" x1="0" x2="{_WIDTH}" y1="{bottom}" y2="{bottom}"/>{bars}{line}{marks}'
        f"</svg><figcaption><b>{escaped(title)}</b>{escaped(words)} "
        f'<span class="muted">{drawn}.</span></figcaption></figure>\n'
    )


def share_bars(shares: Mapping[str, tuple[float, float]], words: Mapping[str, str]) -> str:
    """How often each operation was applied, with the intended share as a mark.

    Args:
        shares: Name -> (applied, intended) share of the views.
        words: Name -> what it does.
    """
    rows = "".join(
        f"<tr><td>{escaped(name)}</td><td>{escaped(words.get(name, ''))}</td>"
        f'<td><div class="bar"><i style="width:{100 * applied:.1f}%"></i>'
        f'<u style="left:{100 * intended:.1f}%"></u></div></td>'
        f"<td>{percent_text(applied)}</td><td>{percent_text(intended)}</td></tr>\n"
        for name, (applied, intended) in shares.items()
    )
    return (
        '<div class="wide"><table><tr><th>operation</th><th>what it does</th><th>share of views</th>'
        f"<th>drawn</th><th>intended</th></tr>\n{rows}</table></div>\n"
    )
