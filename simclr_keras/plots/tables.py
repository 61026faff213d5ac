"""`table`: rows of text as an HTML table."""

from collections.abc import Iterable, Sequence

from ..html_page import escaped


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes a table that scrolls sideways where it does not fit; all is text, nothing is HTML."""
    body = "".join(_row("td", row) for row in rows)
    return f'<div class="wide"><table>{_row("th", head)}{body}</table></div>\n'


def _row(kind: str, cells: Sequence[object]) -> str:
    return f"<tr>{''.join(_cell(kind, str(cell)) for cell in cells)}</tr>\n"


def _cell(kind: str, text: str) -> str:
    is_number = text[:1].isdigit() and len(text) < 24  # stays on one line
    style = ' class="number"' if is_number else ""
    return f"<{kind}{style}>{escaped(text)}</{kind}>"
