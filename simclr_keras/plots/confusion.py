"""`confusion_matrix` and `class_bars`: which classes are taken for which, and how often."""

from collections.abc import Mapping, Sequence

from ..html_page import escaped
from .svg import percent_text, shortened

_CELL, _CHARACTER, _LONGEST = 34, 6.5, 16  # pixels, and characters of a label
_NUMBERS, _NAMED = 20, 60  # most classes whose cells hold their numbers, and with labels
_BARS = 24  # most classes shown one by one
_PAIRS = 6

CONFUSION_STYLE = """
.beside { display: grid; gap: 0 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.beside > div { min-width: 0; }
.matrix svg { max-width: 40rem; min-width: 20rem; }
.matrix rect { stroke: var(--line); stroke-width: .5; }
.matrix rect.right { fill: var(--good); } .matrix rect.wrong { fill: var(--bad); }
.matrix text.cell { fill: var(--ink); text-anchor: middle; }
.classes td { padding-top: .1rem; padding-bottom: .1rem; }
.classes .bar > i { background: var(--good); }
"""


def confusion_matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Draws a row for each true class, and says which are confused most.

    Args:
        names: Of the C classes.
        counts: `(C, C)`: of the images of the class of a row, those taken for that of a column.

    Returns:
        HTML; the page needs `CONFUSION_STYLE`.
    """
    count = len(names)
    cell = _CELL if count <= _NUMBERS else max(4, 16 * _CELL // count)
    start, texts = 0.0, []
    if count <= _NAMED:
        start = 12 + _CHARACTER * max(min(len(name), _LONGEST) for name in names)
        for i, name in enumerate(names):
            short = escaped(shortened(name, _LONGEST))
            middle = start + cell * (i + 0.5)
            texts.append(
                f'<text x="{start - 6}" y="{middle + 4}" text-anchor="end">{short}</text>'
                f'<text transform="translate({middle + 4} {start - 6}) rotate(-60)">{short}</text>'
            )
    size = start + cell * count
    cells = [
        _cell(row, column, counts, names, start, cell)
        for row in range(count)
        for column in range(count)
        if counts[row][column]
    ]
    return (
        f"<p>{_most_confused(names, counts)}</p>\n"
        f'<div class="wide matrix"><svg viewBox="0 0 {size + start / 2:.0f} {size:.0f}" role="img" '
        f'aria-label="Confusion matrix">{"".join(texts)}{"".join(cells)}</svg></div>\n'
    )


def _cell(row: int, column: int, counts, names, start: float, cell: int) -> str:
    images, of = counts[row][column], sum(counts[row])
    share, kind = images / of, "right" if row == column else "wrong"
    x, y = start + cell * column, start + cell * row
    title = (
        f"{names[row]} taken for {names[column]}: {images:,} of {of:,} ({percent_text(share)})"
    )
    number = ""
    if len(names) <= _NUMBERS:
        number = (
            f'<text class="cell" x="{x + cell / 2}" y="{y + cell / 2 + 4}">{images:,}</text>'
        )
    return (
        f'<g><title>{escaped(title)}</title><rect class="{kind}" x="{x}" y="{y}" '
        f'width="{cell}" height="{cell}" style="fill-opacity:{0.08 + 0.72 * share:.2f}"/>{number}</g>'
    )


def _most_confused(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    pairs = sorted(
        (
            (counts[row][column] / sum(counts[row]), row, column)
            for row in range(len(names))
            for column in range(len(names))
            if row != column and counts[row][column]
        ),
        reverse=True,
    )
    if not pairs:
        return "No image is taken for one of another class."
    found = "; ".join(
        f"{escaped(names[row])} for {escaped(names[column])} "
        f"({counts[row][column]:,} of {sum(counts[row]):,})"
        for _, row, column in pairs[:_PAIRS]
    )
    return f"Confused most, by share of the class: {found}."


def class_bars(per_class: Mapping[str, Mapping]) -> str:
    """A bar for the accuracy of each class, the worst first; of many classes only the worst.

    Args:
        per_class: Name -> `accuracy` and number of `images`.

    Returns:
        HTML; the page needs `CONFUSION_STYLE` and `HISTOGRAM_STYLE`.
    """
    worst = sorted(per_class.items(), key=lambda item: item[1]["accuracy"])
    rows = "".join(
        f"<tr><td>{escaped(shortened(name, 40))}</td>"
        f'<td><div class="bar"><i style="width:{100 * found["accuracy"]:.1f}%"></i></div></td>'
        f"<td>{percent_text(found['accuracy'])}</td>"
        f'<td class="muted">{found["images"]:,} images</td></tr>\n'
        for name, found in worst[:_BARS]
    )
    left = f"<p>The {_BARS} worst of {len(worst)} classes.</p>" if len(worst) > _BARS else ""
    return f'{left}<div class="wide"><table class="classes">{rows}</table></div>\n'
