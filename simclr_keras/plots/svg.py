"""What the drawings of a page share: axes, numbers for people, and colours of light and dark."""

import math

from ..html_page import escaped

# Ten colours that people with any colour vision tell apart best, then hues.
_LIGHT = "#2f6fde #e8710a #1b8a5a #c3286b #7b4fd0 #8f6a1e #0b96a8 #d64545 #5f6b7a #7c9a12"
_DARK = "#7aa7ff #ff9d4d #4fc793 #ff74ab #b394ff #d6ab55 #4dd0e1 #ff8a80 #a9b4c2 #bcd64c"
_COLOURS = len(_LIGHT.split())


def _variables(colours: str) -> str:
    return " ".join(f"--c{i}: {colour};" for i, colour in enumerate(colours.split()))


SVG_STYLE = f"""
:root {{ {_variables(_LIGHT)} --lightness: 45%; }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(_DARK)} --lightness: 66%; }} }}
svg {{ display: block; width: 100%; height: auto; }}
svg text {{ font: 11px system-ui, sans-serif; fill: var(--muted); }}
.grid {{ stroke: var(--line); stroke-width: 1; }}
.key {{ display: inline-flex; align-items: center; gap: .35em; margin-right: .9em;
  white-space: nowrap; }}
.key i {{ width: .8em; height: .8em; border-radius: 2px; background: var(--of); }}
.key i.dash {{ height: 0; border-radius: 0; background: none;
  border-top: 2px dashed var(--muted); }}
"""


def colour(number: int, count: int = _COLOURS) -> str:
    """The CSS colour of one of `count` things."""
    if count <= _COLOURS:
        return f"var(--c{number})"
    return f"hsl({360 * number / count:.0f} 65% var(--lightness))"


def key(name: str, of: str | None) -> str:
    """An entry of a legend: a colour, or `None` for a dashed line, and its name."""
    sign = '<i class="dash"></i>' if of is None else f'<i style="--of:{of}"></i>'
    return f'<span class="key">{sign}{escaped(name)}</span>'


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, both finite, at most `most` + 1 of them."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [number * step for number in range(first, last + 1)]


def number_text(value: float) -> str:
    """A number in up to four digits."""
    if value == 0:
        return "0"
    if abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def percent_text(share: float) -> str:
    """A share in percent, as short as it can be."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def shortened(name: str, most: int) -> str:
    """A name of at most so many characters."""
    return name if len(name) <= most else f"{name[: most - 1]}\u2026"
