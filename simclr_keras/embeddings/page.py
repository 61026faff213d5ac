"""A page of pictures: one self-contained HTML file."""

import os
import pathlib
from collections.abc import Iterable, Sequence

from ..html_page import data_uri, escaped, html_page

_STYLE = """
section { display: flex; flex-wrap: wrap; gap: .75rem; margin: 0 0 1.5rem;
  padding-bottom: 1.5rem; border-bottom: 1px solid var(--line); }
figure { margin: 0; width: 128px; }
figure.query { padding-right: .75rem; border-right: 3px solid var(--accent); }
figure img, .none { display: block; width: 128px; height: 128px; border-radius: 4px;
  background: var(--line); }
.none { display: grid; place-items: center; color: var(--muted); }
figcaption { overflow-wrap: anywhere; font-size: 12px; margin-top: .25rem; }
b { font-variant-numeric: tabular-nums; }
"""


def write_page(
    path: str | os.PathLike,
    title: str,
    rows: Iterable[Sequence[tuple[str, str, bytes | None]]],
    note: str = "",
) -> pathlib.Path:
    """Writes the page whole or not at all.

    Args:
        path: The `.html` file; its folder is created.
        title: The heading of the page.
        rows: For each row, its pictures: (name, number such as a cosine, JPEG or `None` if
            there is no picture). The first picture of a row is its query.
        note: A line under the heading.

    Returns:
        The path.
    """
    with html_page(path, title, _STYLE) as page:
        page.write(f"<p>{escaped(note)}</p>\n")
        for row in rows:
            figures = [_figure(*entry, place == 0) for place, entry in enumerate(row)]
            page.write(f"<section>\n{''.join(figures)}</section>\n")
    return pathlib.Path(path)


def _figure(name: str, number: str, picture: bytes | None, is_query: bool) -> str:
    name = escaped(name)
    shown = '<div class="none">no picture</div>'
    if picture is not None:
        shown = f'<img alt="{name}" src="{data_uri(picture)}">'
    kind = ' class="query"' if is_query else ""
    number = f"<b>{escaped(number)}</b> " if number else ""
    return f"<figure{kind}>{shown}<figcaption>{number}{name}</figcaption></figure>\n"
